package main

import (
	"context"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// Every example in the help is accepted as far as flags and arguments go, and every
// noun is in the help of the program.
func TestExamplesAreRight(t *testing.T) {
	for _, name := range nouns() {
		if !regexp.MustCompile(`[ ,]` + name + `(,|\n)`).MatchString(about) {
			t.Errorf("jeton --help does not name %s", name)
		}
	}
	for _, path := range commands(root()) {
		cmd, _, _ := root().Find(path)
		for line := range strings.Lines(cmd.Example) {
			if err := accepts(line); err != nil {
				t.Errorf("%s: the example %q: %v", cmd.CommandPath(), strings.TrimSpace(line), err)
			}
		}
	}
}

func root() *cobra.Command {
	p := &Program{Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: io.Discard}
	return p.root()
}

func nouns() (names []string) {
	for _, cmd := range root().Commands() {
		if cmd.Name() != "version" {
			names = append(names, cmd.Name())
		}
	}
	return names
}

// commands are the paths of all commands beneath one.
func commands(parent *cobra.Command) (paths [][]string) {
	for _, cmd := range parent.Commands() {
		paths = append(paths, strings.Fields(cmd.CommandPath())[1:])
		paths = append(paths, commands(cmd)...)
	}
	return paths
}

var (
	shellWord = regexp.MustCompile(`"[^"]*"|\S+`)
	shellRest = regexp.MustCompile(` [|<>#)].*|\)$`)
)

// accepts parses a line of shell as far as it is about this program, and runs nothing.
func accepts(line string) error {
	_, line, _ = strings.Cut(strings.TrimSpace(line), "jeton ")
	var args []string
	for _, word := range shellWord.FindAllString(shellRest.ReplaceAllString(line, ""), -1) {
		args = append(args, strings.Trim(word, `"`))
	}
	tree := root()
	for _, path := range commands(tree) {
		cmd, _, _ := tree.Find(path)
		cmd.Run, cmd.RunE = nil, func(*cobra.Command, []string) error { return nil }
	}
	tree.SetArgs(args)
	return tree.ExecuteContext(context.Background())
}
