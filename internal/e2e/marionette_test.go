package e2e

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"
)

// marionette drives a Mozilla program by its remote protocol: messages of JSON with their
// length in front, [0, id, command, parameters] there and [1, id, error, result] back.
type marionette struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
	id   int
}

// newMarionette connects to a program that was started with --marionette and
// -remote-allow-system-access.
func newMarionette(t *testing.T, addr string) *marionette {
	t.Helper()
	m := &marionette{t: t}
	if err := eventually(patience, func() (err error) {
		m.conn, err = net.Dial("tcp", addr)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.conn.Close() })
	m.in = bufio.NewReader(m.conn)
	m.conn.SetDeadline(time.Now().Add(3 * patience))
	if _, err := m.read(); err != nil { // who it is
		t.Fatal(err)
	}
	m.command("WebDriver:NewSession", map[string]any{})
	m.command("Marionette:SetContext", map[string]any{"value": "chrome"})
	m.command("WebDriver:SetTimeouts", map[string]any{"script": patience.Milliseconds()})
	return m
}

func (m *marionette) read() ([]byte, error) {
	size, err := m.in.ReadString(':')
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(strings.TrimSuffix(size, ":"))
	if err != nil {
		return nil, err
	}
	b := make([]byte, n)
	_, err = io.ReadFull(m.in, b)
	return b, err
}

func (m *marionette) try(name string, params any) (json.RawMessage, error) {
	m.id++
	b, err := json.Marshal([]any{0, m.id, name, params})
	if err != nil {
		return nil, err
	}
	if _, err := fmt.Fprintf(m.conn, "%d:%s", len(b), b); err != nil {
		return nil, err
	}
	if b, err = m.read(); err != nil {
		return nil, err
	}
	var reply [4]json.RawMessage
	if err := json.Unmarshal(b, &reply); err != nil {
		return nil, err
	}
	if string(reply[2]) != "null" {
		return nil, errors.New(string(reply[2]))
	}
	return reply[3], nil
}

func (m *marionette) command(name string, params any) json.RawMessage {
	m.t.Helper()
	result, err := m.try(name, params)
	if err != nil {
		m.t.Fatalf("%s: %v", name, err)
	}
	return result
}

// run runs the body of an async function in the program, behind a prelude, and decodes
// what it returns into to, if that is not nil.
func (m *marionette) run(to any, prelude, body string, args ...any) {
	m.t.Helper()
	if args == nil {
		args = []any{}
	}
	result := m.command("WebDriver:ExecuteAsyncScript", map[string]any{
		"script": "const given = [...arguments], done = given.pop();\n" + prelude +
			"\n(async (...args) => {\n" + body + "\n})(...given).then(value => done({value}), e => done({error: e + '\\n' + e.stack}));",
		"args": args,
	})
	var reply struct {
		Value struct {
			Error string
			Value json.RawMessage
		}
	}
	if err := json.Unmarshal(result, &reply); err != nil {
		m.t.Fatal(err)
	}
	if reply.Value.Error != "" {
		m.t.Fatalf("%s\n%s", body, reply.Value.Error)
	}
	if to != nil {
		if err := json.Unmarshal(reply.Value.Value, to); err != nil {
			m.t.Fatalf("%v: %s", err, reply.Value.Value)
		}
	}
}
