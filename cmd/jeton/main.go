package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// version is set by the linker; see the Makefile.
var version = ""

func main() {
	p := Program{Args: os.Args[1:], Env: os.Environ(), Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}
	os.Exit(p.Main(context.Background()))
}

// Program is one run of jeton and its surroundings.
type Program struct {
	Args           []string
	Env            []string // NAME=value
	Stdin          io.Reader
	Stdout, Stderr io.Writer

	parsed bool // flags and arguments were accepted; what fails now is no usage error
}

// The exit codes. They are part of the interface.
const (
	exitOK          = 0
	exitError       = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitDenied      = 4
	exitConflict    = 5
	exitUnavailable = 6
)

const about = `Jeton issues, checks, revokes and looks back at the access tokens of many organizations.

The service:    jeton serve, init, rebuild
Before engines: jeton gate
Its clients:    jeton token, approval, policy, role, permission, member, service-account, account,
                engine, project, record, organization, operator, check, whoami, log, audit, context

Clients take the service's address and a token from, in this order:
  --url URL and --token-file FILE ("-": standard input)
  JETON_URL and JETON_TOKEN (or JETON_TOKEN_FILE)
  the context file ($JETON_CONTEXT, else $XDG_CONFIG_HOME/jeton/config.yaml; see jeton context)
A secret is never an argument: everybody on a machine can read those.

Exit codes:
  0  done; for check: the token is active, and allowed what was asked
  1  something went wrong
  2  a flag, an argument or a value is not accepted
  3  not found
  4  not allowed; for check: the token is not active, or not allowed what was asked
  5  conflict: it exists, or was changed meanwhile
  6  unavailable: the service can't be reached or can't answer now; for token revoke --wait and
     token revocation: not every engine has confirmed it yet`

// Main runs the program and answers its exit code.
func (p *Program) Main(ctx context.Context) int {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the second signal ends the process at once
	if slices.ContainsFunc(p.Args, secretInside.MatchString) {
		p.parsed = true
		return p.report(usage("a secret is never an argument: everybody on this machine can read it\n  next: revoke it, and give the next one on standard input or in a file"))
	}
	root := p.root()
	root.SetArgs(p.Args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	if !p.parsed {
		err = usage("%w", err)
	}
	return p.report(err)
}

// secretInside finds a secret, also a broken one. Its public beginning is none.
var secretInside = regexp.MustCompile(`jtn_[a-z]+_[0-9A-Za-z]{17}`)

func (p *Program) root() *cobra.Command {
	root := &cobra.Command{
		Use: "jeton", Short: "Access tokens of many organizations", Long: about,
		SilenceErrors: true, SilenceUsage: true,
		PersistentPreRun: func(*cobra.Command, []string) { p.parsed = true },
	}
	helpful(root)
	root.SetIn(p.Stdin)
	root.SetOut(p.Stdout)
	root.SetErr(p.Stderr)
	root.AddCommand(p.serveCommand(), p.initCommand(), p.rebuildCommand(), p.gateCommand(), p.versionCommand(),
		p.tokenCommand(), p.approvalCommand(), p.policyCommand(), p.roleCommand(), p.permissionCommand(),
		p.memberCommand(), p.serviceAccountCommand(), p.accountCommand(),
		p.engineCommand(), p.projectCommand(), p.recordCommand(), p.organizationCommand(), p.operatorCommand(),
		p.checkCommand(), p.whoamiCommand(), p.logCommand(), p.auditCommand(), p.contextCommand())
	return root
}

// coded is an error with an exit code of its own.
type coded struct {
	error
	code int
}

func (c coded) Unwrap() error { return c.error }

// usage is an error of whoever typed the command.
func usage(format string, args ...any) error {
	return coded{fmt.Errorf(format, args...), exitUsage}
}

// silent is an exit code for which everything has been said.
func silent(code int) error { return coded{nil, code} }

// report says what went wrong on standard error and answers the exit code.
func (p *Program) report(err error) int {
	var c coded
	if !errors.As(err, &c) {
		c = coded{err, exitError}
	}
	if c.error == nil {
		return c.code
	}
	fmt.Fprintln(p.Stderr, "jeton:", err)
	if c.code == exitUsage && !p.parsed {
		fmt.Fprintln(p.Stderr, "  next: see jeton --help, or --help behind a command")
	}
	return c.code
}

// env is a variable of the environment.
func (p *Program) env(name string) (string, bool) {
	for _, line := range p.Env {
		if value, found := strings.CutPrefix(line, name+"="); found {
			return value, true
		}
	}
	return "", false
}

func (p *Program) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		Run: func(*cobra.Command, []string) { fmt.Fprintln(p.Stdout, "jeton", programVersion()) },
	}
}

// programVersion is what the linker was told, else what the Go tool wrote down.
func programVersion() string {
	if version != "" {
		return version
	}
	if build, ok := debug.ReadBuildInfo(); ok && build.Main.Version != "" {
		return build.Main.Version
	}
	return "unknown"
}
