"""Orders, their steps, the catalogue and money: rules without I/O."""
