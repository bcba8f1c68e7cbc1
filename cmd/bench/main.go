package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// bench is one run.
type bench struct {
	Jeton         string // the binary
	Dir           string // data directory
	Tokens        int
	Organizations int
	Connections   int
	Rounds        int
	Seconds       float64
	Rows          int    // of the audit log
	Views         string // URL of the database for the audit log; empty: SQLite
}

func main() {
	var b bench
	flag.StringVar(&b.Jeton, "jeton", "bin/jeton", "the binary to measure")
	flag.StringVar(&b.Dir, "dir", "", "data directory; empty: a temporary one")
	flag.IntVar(&b.Tokens, "tokens", 1_000_000, "how many tokens to load")
	flag.IntVar(&b.Organizations, "organizations", 1000, "over how many organizations")
	flag.IntVar(&b.Connections, "connections", 64, "connections of the load generator")
	flag.IntVar(&b.Rounds, "rounds", 7, "rounds of each measurement; medians are reported")
	flag.Float64Var(&b.Seconds, "seconds", 3, "length of a round of requests")
	flag.IntVar(&b.Rows, "rows", 10_000_000, "how many rows of the audit log to load (-phase audit)")
	flag.StringVar(&b.Views, "views", "", "URL of an empty PostgreSQL for -phase audit; empty: SQLite in a temporary directory")
	phase := flag.String("phase", "", "run one phase in this process (for the program itself)")
	flag.Parse()
	if err := b.run(context.Background(), *phase); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func (b bench) run(ctx context.Context, phase string) error {
	switch phase {
	case "":
		return b.all(ctx)
	case "load":
		return b.load(ctx)
	case "model":
		return b.model(ctx)
	case "commands":
		return b.commands(ctx)
	case "http":
		rows, err := b.http(ctx)
		if err != nil {
			return err
		}
		return report(rows...)
	case "evidence":
		return b.evidence(ctx)
	case "audit":
		return b.audit(ctx)
	case "door":
		return b.door(ctx)
	case "receipts":
		return b.receipts(ctx)
	case "streams":
		return b.streams(ctx)
	case "followers":
		return followers(ctx)
	case "bare":
		return serveBare()
	}
	return fmt.Errorf("there is no phase %q", phase)
}

func (b bench) all(ctx context.Context) error {
	if b.Dir == "" {
		dir, err := os.MkdirTemp("", "jeton-bench-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		b.Dir = filepath.Join(dir, "data")
	}
	var t table
	t.add("tokens loaded", count(b.Tokens), "", fmt.Sprintf("in %d organizations", b.Organizations))
	if err := b.found(ctx); err != nil {
		return err
	}
	for _, phase := range []string{"load", "model", "commands"} {
		rows, err := b.child(ctx, phase)
		if err != nil {
			return fmt.Errorf("%s: %w", phase, err)
		}
		t.rows = append(t.rows, rows...)
	}
	rows, err := b.http(ctx)
	if err != nil {
		return err
	}
	t.rows = append(t.rows, rows...)
	for _, phase := range []string{"door", "receipts", "streams", "evidence"} {
		rows, err := b.child(ctx, phase)
		if err != nil {
			return fmt.Errorf("%s: %w", phase, err)
		}
		t.rows = append(t.rows, rows...)
	}
	fmt.Printf("\n%s\n\n", machine())
	t.print(os.Stdout)
	return nil
}

// found makes the platform with the binary, as a user would.
func (b bench) found(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, b.Jeton, "init", "--data", b.Dir,
		"--organization", "bench", "--name", "Bench", "--email", "root@bench.test", "-o", "json")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%s init: %w", b.Jeton, err)
	}
	return os.WriteFile(b.file("founded.json"), out, 0o600)
}

// file is a file of the bench beside the data directory.
func (b bench) file(name string) string { return b.Dir + "-" + name }

// child runs a phase in a process of its own, so that no phase measures the
// memory or the garbage of another.
func (b bench) child(ctx context.Context, phase string) (rows []row, err error) {
	began := time.Now()
	fmt.Fprintf(os.Stderr, "%s …", phase)
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, "-phase", phase, "-dir", b.Dir, "-jeton", b.Jeton,
		"-tokens", fmt.Sprint(b.Tokens), "-organizations", fmt.Sprint(b.Organizations), "-rounds", fmt.Sprint(b.Rounds))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(os.Stderr, " %.0f s\n", time.Since(began).Seconds())
	return rows, json.Unmarshal(out, &rows)
}

// report is how a phase answers its parent.
func report(rows ...row) error { return json.NewEncoder(os.Stdout).Encode(rows) }

// machine is what the figures were measured on.
func machine() string {
	model := "unknown processor"
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(info)) {
			if name, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	return fmt.Sprintf("Measured on %s with %d cores (%s), %s, %s.", time.Now().UTC().Format("2 January 2006"),
		runtime.NumCPU(), model, runtime.GOOS+"/"+runtime.GOARCH, runtime.Version())
}
