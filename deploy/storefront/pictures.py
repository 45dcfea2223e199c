"""The products' pictures in the sizes that screens need: WebP, and one JPEG for old browsers and link previews.

A file's name holds a hash of the picture it was made from, so browsers and hosts may keep it for ever, and a rebuild
takes what it made before from the old site.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageCms, ImageOps

from pushcart.domain.catalogue import Catalogue
from storefront.progress import Work

#: Widths in pixels; a picture is never made larger than it is.
WIDTHS = (400, 800, 1200, 1600)
JPEG_WIDTH = 1200
#: Part of each file's name: changed settings make all files anew.
RECIPE = "1"

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "AVIF")
_ORIENTATION = 0x0112


@dataclass(frozen=True)
class Picture:
    """A picture as pages use it; paths are from the site's root, sizes in pixels."""

    width: int
    height: int
    #: Path and width of each WebP, the smallest first.
    webp: tuple[tuple[str, int], ...]
    jpeg: str
    jpeg_size: tuple[int, int]


@dataclass(frozen=True)
class Sources:
    """Where each picture that shop.yml names lies, and what is wrong with those that are not there."""

    paths: Mapping[str, Path]
    mistakes: list[str]


def sources(catalogue: Catalogue, folder: Path) -> Sources:
    """The file of each picture in shop.yml, by its name there; every one lies in `folder`."""
    paths: dict[str, Path] = {}
    mistakes = []
    for number, product in enumerate(catalogue.products):
        for name in product.images:
            path = folder / name
            if not path.resolve().is_relative_to(folder.resolve()):
                mistakes.append(f"products[{number}].images: {name} is outside {folder}; put the picture in there")
            elif not path.is_file():
                what = "put the picture there, or take its name out of shop.yml"
                mistakes.append(f"products[{number}].images: {path} is missing; {what}")
            else:
                paths[name] = path
    return Sources(paths, mistakes)


def make(paths: Mapping[str, Path], folder: Path, old: Path, work: Work) -> tuple[dict[str, Picture], list[str]]:
    """Makes every picture's files in `folder`, or takes them from `old`; gives them by name, and what is wrong."""
    work.expect(len(paths))
    folder.mkdir(parents=True)
    made: dict[str, Picture] = {}
    mistakes = []
    # Pillow lets go of the interpreter while it works.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = {name: pool.submit(_make, path, folder, old) for name, path in paths.items()}
        for name, job in jobs.items():
            try:
                made[name] = job.result()
            except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
                mistakes.append(
                    f"{paths[name]} cannot be used as a picture ({error}); save it anew as JPEG, PNG or WebP"
                )
            work.done(name)
    return made, mistakes


def _make(source: Path, folder: Path, old: Path) -> Picture:
    content = source.read_bytes()
    try:
        image = Image.open(io.BytesIO(content), formats=FORMATS)
    except Image.UnidentifiedImageError:
        raise ValueError("it is of no kind that is known here") from None
    width, height = image.size
    if image.getexif().get(_ORIENTATION, 1) >= 5:
        width, height = height, width
    # Two files of one name in different folders differ in content, or are the same picture.
    name = f"{_plain(source.stem)}-{hashlib.sha256(RECIPE.encode() + content).hexdigest()[:10]}"
    widths = [*(one for one in WIDTHS if one < width), min(width, WIDTHS[-1])]
    widths = list(dict.fromkeys(widths))
    jpeg = min(width, JPEG_WIDTH)
    wanted = {f"{name}-{one}.webp": one for one in widths} | {f"{name}-{jpeg}.jpg": jpeg}
    missing = {file: one for file, one in wanted.items() if not _taken(old / file, folder / file)}
    if missing:
        upright = _in_srgb(ImageOps.exif_transpose(image))
        for file, one in missing.items():
            _save(upright, (one, _scaled(height, one, width)), folder / file)
    return Picture(
        width,
        height,
        tuple((f"images/{name}-{one}.webp", one) for one in widths),
        f"images/{name}-{jpeg}.jpg",
        (jpeg, _scaled(height, jpeg, width)),
    )


def _taken(old: Path, new: Path) -> bool:
    if not old.is_file():
        return False
    shutil.copyfile(old, new)
    return True


def _scaled(height: int, width: int, of: int) -> int:
    return max(1, round(height * width / of))


def _in_srgb(image: Image.Image) -> Image.Image:
    """RGB or RGBA in the colours that the web takes for granted; the camera's own data are not kept."""
    profile = image.info.get("icc_profile")
    clear = image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
    if profile and not clear:
        try:
            srgb = ImageCms.createProfile("sRGB")
            done = ImageCms.profileToProfile(image, io.BytesIO(profile), srgb, outputMode="RGB")
            return done if done is not None else image.convert("RGB")
        except ImageCms.PyCMSError:
            pass  # a broken profile: the colours as they are
    return image.convert("RGBA" if clear else "RGB")


def _save(image: Image.Image, size: tuple[int, int], file: Path) -> None:
    small = image if image.size == size else image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    if file.suffix == ".webp":
        small.save(file, "WEBP", quality=78, method=4)
        return
    if small.mode == "RGBA":
        white = Image.new("RGB", small.size, "white")
        white.paste(small, mask=small.getchannel("A"))
        small = white
    small.save(file, "JPEG", quality=80, optimize=True, progressive=True)


def _plain(stem: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-")[:40] or "picture"
