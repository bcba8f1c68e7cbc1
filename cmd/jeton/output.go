package main

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// random is where secrets come from.
var random = rand.Reader

// outputFlag gives a command -o.
func outputFlag(cmd *cobra.Command, at *string) {
	*at = "table"
	cmd.Flags().VarP(choice(at, "table", "json", "name"), "output", "o", "how to print: table for people, json for programs, name for scripts")
}

// shape is how things of one noun are printed.
type shape[T any] struct {
	cells func(T) []cell
	name  func(T) string // for -o name: the id, or a new secret alone
}

// cell is one fact about a thing.
type cell struct {
	title, text string
	detail      bool // shown when one thing is, not in lists
}

// list prints many: a table, one JSON array, or names line by line.
func (s shape[T]) list(w io.Writer, output string, raw []json.RawMessage) error {
	if output == "json" {
		return writeJSON(w, raw)
	}
	things, err := decodeAll[T](raw)
	if err != nil {
		return err
	}
	if output == "name" {
		for _, thing := range things {
			fmt.Fprintln(w, s.name(thing))
		}
		return nil
	}
	return s.table(w, things)
}

func (s shape[T]) table(w io.Writer, things []T) error {
	tab := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	var none T
	row(tab, s.cells(none), func(c cell) string { return strings.ToUpper(c.title) })
	for _, thing := range things {
		row(tab, s.cells(thing), func(c cell) string { return c.text })
	}
	return tab.Flush()
}

func row(w io.Writer, cells []cell, show func(cell) string) {
	var texts []string
	for _, c := range cells {
		if !c.detail {
			texts = append(texts, show(c))
		}
	}
	fmt.Fprintln(w, strings.Join(texts, "\t"))
}

// one prints a single thing: its facts line by line, its JSON, or its name.
func (s shape[T]) one(w io.Writer, output string, raw json.RawMessage) error {
	if output == "json" {
		return writeJSON(w, raw)
	}
	var thing T
	if err := json.Unmarshal(raw, &thing); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if output == "name" {
		_, err := fmt.Fprintln(w, s.name(thing))
		return err
	}
	tab := tabwriter.NewWriter(w, 0, 8, 1, ' ', 0)
	for _, c := range s.cells(thing) {
		if c.text != "" {
			fmt.Fprintf(tab, "%s:\t%s\n", c.title, c.text)
		}
	}
	return tab.Flush()
}

func decodeAll[T any](raw []json.RawMessage) ([]T, error) {
	things := make([]T, len(raw))
	for i, r := range raw {
		if err := json.Unmarshal(r, &things[i]); err != nil {
			return nil, fmt.Errorf("read the answer: %w", err)
		}
	}
	return things, nil
}

// writeJSON prints what the service answered, with all its fields, indented.
func writeJSON(w io.Writer, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := json.Indent(&b, text, "", "  "); err != nil {
		return err
	}
	b.WriteByte('\n')
	_, err = b.WriteTo(w)
	return err
}

// moment is a time in a table; none is the word for no time at all.
func moment(t time.Time, none string) string {
	if t.IsZero() {
		return none
	}
	return t.UTC().Format("2006-01-02 15:04")
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return ""
}

// person and author are who an answer names.
type person struct {
	ID    uint64 `json:"id"`
	Email string `json:"email"`
}

func (p *person) String() string {
	if p == nil {
		return ""
	}
	return p.Email
}

type author struct {
	Kind  string `json:"kind"`
	Email string `json:"email"`
	Token string `json:"token"`
}

func (a *author) String() string {
	switch {
	case a == nil:
		return ""
	case a.Email != "":
		return a.Email
	case a.Token != "":
		return "token " + a.Token
	}
	return a.Kind
}
