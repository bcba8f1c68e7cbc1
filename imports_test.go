// Package jeton_test checks rules that hold for the whole tree.
package jeton_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// mayImport says which folders of ours a folder may import, and why no others.
var mayImport = map[string]struct {
	folders []string
	why     string
}{
	"domain":      {nil, "the rules know nothing of how they are stored or asked"},
	"eventstore":  {[]string{"domain"}, "the log keeps commits of the domain and knows no view"},
	"projections": {[]string{"domain", "eventstore"}, "views are made of the log and know no transport"},
	"http":        {[]string{"domain", "eventstore", "projections", "engine"}, "a transport translates; nothing depends on it but the command"},
	"engine":      {[]string{"domain"}, "strangers embed it"},
	"cmd":         {[]string{"domain", "eventstore", "projections", "http", "engine"}, "it wires everything"},
}

// Imports point left: domain ← eventstore ← projections ← http ← cmd.
func TestImportsPointLeft(t *testing.T) {
	for _, file := range goFiles(t) {
		folder, _, _ := strings.Cut(filepath.ToSlash(file), "/")
		rule, known := mayImport[folder]
		if !known || strings.HasSuffix(file, "_test.go") {
			continue
		}
		for _, path := range imports(t, file) {
			ours, found := strings.CutPrefix(path, "jeton/")
			target, _, _ := strings.Cut(ours, "/")
			if found && target != folder && !slices.Contains(rule.folders, target) {
				t.Errorf("%s imports %s, but %s", file, path, rule.why)
			}
		}
	}
}

// The rules need nothing but the standard library.
func TestDomainImportsOnlyTheStandardLibrary(t *testing.T) {
	for _, file := range goFiles(t) {
		if !strings.HasPrefix(file, "domain/") || strings.HasSuffix(file, "_test.go") {
			continue
		}
		for _, path := range imports(t, file) {
			if first, _, _ := strings.Cut(path, "/"); strings.Contains(first, ".") {
				t.Errorf("%s imports %s", file, path)
			}
		}
	}
}

// Every package says in a comment what it is for.
func TestEveryPackageHasAComment(t *testing.T) {
	commented := map[string]bool{}
	for _, file := range goFiles(t) {
		dir := filepath.Dir(file)
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments|parser.PackageClauseOnly)
		if err != nil {
			t.Fatal(err)
		}
		commented[dir] = commented[dir] || parsed.Doc != nil
	}
	for dir, has := range commented {
		if !has {
			t.Errorf("package in %s has no comment", dir)
		}
	}
}

func goFiles(t *testing.T) (files []string) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(path, ".go") {
			files = append(files, path)
		}
		return err
	})
	if err != nil || len(files) == 0 {
		t.Fatalf("found %d files: %v", len(files), err)
	}
	return files
}

func imports(t *testing.T, file string) (paths []string) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	for _, spec := range parsed.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths
}
