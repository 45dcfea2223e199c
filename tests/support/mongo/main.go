// A server with MongoDB's wire protocol, for tests on a machine without a mongod: FerretDB on its embedded SQLite.
//
//	mongo PORT FOLDER
//
// FerretDB 1 reads and then writes the documents of an update in two steps; MongoDB does it in one. A gate in front
// of it lets one write through at a time, so that the tests run on what MongoDB promises.
package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/FerretDB/FerretDB/ferretdb"
)

const (
	opMsg      = 2013
	moreToCome = 2 // the flag of a message that wants no answer
	largest    = 48_000_000
)

var writes = map[string]bool{"insert": true, "update": true, "delete": true, "findAndModify": true, "createIndexes": true}

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: mongo PORT FOLDER")
	}
	folder := os.Args[2]
	socket := filepath.Join(folder, "ferretdb.sock")
	os.Remove(socket)
	server, err := ferretdb.New(&ferretdb.Config{
		Listener:  ferretdb.ListenerConfig{Unix: socket},
		Handler:   "sqlite",
		SQLiteURL: "file:" + folder + "/",
		Logger:    slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		log.Fatal(err)
	}
	gate, err := net.Listen("tcp", "127.0.0.1:"+os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	go accept(gate, socket)
	if err := server.Run(ctx); err != nil && ctx.Err() == nil {
		log.Fatal(err)
	}
}

func accept(gate net.Listener, socket string) {
	var one sync.Mutex
	fmt.Println("listening")
	for {
		client, err := gate.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go func() {
			defer client.Close()
			server, err := net.Dial("unix", socket)
			if err != nil {
				return
			}
			defer server.Close()
			for pass(client, server, &one) == nil {
			}
		}()
	}
}

// pass takes one command to the server and its answer back.
func pass(client, server net.Conn, one *sync.Mutex) error {
	message, err := read(client)
	if err != nil {
		return err
	}
	answer, err := exchange(server, message, one)
	if err != nil || answer == nil {
		return err
	}
	_, err = client.Write(answer)
	return err
}

func exchange(server net.Conn, message []byte, one *sync.Mutex) ([]byte, error) {
	if writes[command(message)] {
		one.Lock()
		defer one.Unlock()
	}
	if _, err := server.Write(message); err != nil {
		return nil, err
	}
	if opcode(message) == opMsg && message[16]&moreToCome != 0 {
		return nil, nil
	}
	return read(server)
}

// read takes one whole message; its first four bytes say how long it is.
func read(from io.Reader) ([]byte, error) {
	var length [4]byte
	if _, err := io.ReadFull(from, length[:]); err != nil {
		return nil, err
	}
	size := binary.LittleEndian.Uint32(length[:])
	if size < 21 || size > largest {
		return nil, fmt.Errorf("a message of %d bytes", size)
	}
	message := make([]byte, size)
	copy(message, length[:])
	_, err := io.ReadFull(from, message[4:])
	return message, err
}

func opcode(message []byte) uint32 { return binary.LittleEndian.Uint32(message[12:]) }

// command is the name of the first field of an OP_MSG's body: header 16, flags 4, kind 1, length 4, type 1.
func command(message []byte) string {
	if opcode(message) != opMsg || len(message) < 27 || message[20] != 0 {
		return ""
	}
	name, _, _ := bytes.Cut(message[26:], []byte{0})
	return string(name)
}
