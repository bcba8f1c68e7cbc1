package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
)

// server is where a service is and the token to show there.
type server struct {
	URL   string `yaml:"url"`
	Token string `yaml:"token,omitempty"`
}

// contexts is the context file. It holds tokens, so only its owner may read it.
type contexts struct {
	Current  string            `yaml:"current,omitempty"`
	Contexts map[string]server `yaml:"contexts"`
}

// contextPath is where the context file is.
func (p *Program) contextPath() (string, error) {
	if path, set := p.env("JETON_CONTEXT"); set && path != "" {
		return path, nil
	}
	folder, _ := p.env("XDG_CONFIG_HOME")
	if folder == "" {
		home, _ := p.env("HOME")
		if home == "" {
			return "", errors.New("neither JETON_CONTEXT nor XDG_CONFIG_HOME nor HOME is set, so there is no place for the context file")
		}
		folder = filepath.Join(home, ".config")
	}
	return filepath.Join(folder, "jeton", "config.yaml"), nil
}

// readContexts reads the context file; none is an empty one.
func (p *Program) readContexts() (c contexts, path string, err error) {
	c.Contexts = map[string]server{}
	if path, err = p.contextPath(); err != nil {
		return c, path, err
	}
	stat, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, path, nil
	}
	if err != nil {
		return c, path, err
	}
	if wide := stat.Mode().Perm() &^ 0o600; wide != 0 {
		return c, path, fmt.Errorf("%s holds tokens and has the permissions %#o: others may read or change it\n  next: chmod 600 %s", path, stat.Mode().Perm(), path)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return c, path, err
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true)
	if err := decoder.Decode(&c); err != nil && !errors.Is(err, io.EOF) {
		return c, path, fmt.Errorf("%s is no context file", path) // err would show what is in it
	}
	return c, path, nil
}

func (c contexts) write(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	data, err := yaml.Marshal(c)
	if err != nil {
		return err
	}
	return replaceFile(path, data)
}

// named is the context of a name; no name: the current one, empty if there is none.
func (c contexts) named(name string) (server, error) {
	if name == "" {
		name = c.Current
	}
	s, known := c.Contexts[name]
	if !known && name != "" {
		return s, coded{fmt.Errorf("there is no context %q\n  next: see jeton context list", name), exitNotFound}
	}
	return s, nil
}

// settle finds the address and the token: flags, over variables, over a context.
// The token of a context is shown to the service of that context only.
func (r *remote) settle() (server, error) {
	given := server{URL: r.givenURL()}
	token, err := r.givenToken()
	if err != nil {
		return given, err
	}
	given.Token = token
	if given.URL != "" && given.Token != "" {
		return given, checkURL(&given.URL)
	}
	return r.complete(given)
}

// complete takes from the context what is not given.
func (r *remote) complete(given server) (server, error) {
	known, err := r.known()
	if err != nil {
		return given, err
	}
	given.URL = first(given.URL, known.URL)
	if given.URL == "" {
		return given, usage("no address of a service is given\n  next: set JETON_URL and JETON_TOKEN, or see jeton context set --help")
	}
	if err := checkURL(&given.URL); err != nil {
		return given, err
	}
	if given.Token == "" && given.URL == known.URL {
		given.Token = known.Token
	}
	if given.Token == "" {
		return given, usage("no token for %s is given\n  next: set JETON_TOKEN, or --token-file, or see jeton context set --help", given.URL)
	}
	return given, nil
}

// address finds only where the service is, for what is done without a token.
func (r *remote) address() (server, error) {
	where := server{URL: r.givenURL()}
	if where.URL == "" {
		known, err := r.known()
		if err != nil {
			return where, err
		}
		where.URL = known.URL
	}
	if where.URL == "" {
		return where, usage("no address of a service is given\n  next: set JETON_URL, or --url")
	}
	return where, checkURL(&where.URL)
}

// known is the context that is meant.
func (r *remote) known() (server, error) {
	all, _, err := r.program.readContexts()
	if err != nil {
		return server{}, err
	}
	return all.named(r.context)
}

func (r *remote) givenURL() string {
	if r.url != "" || r.context != "" {
		return r.url
	}
	url, _ := r.program.env("JETON_URL")
	return url
}

func (r *remote) givenToken() (string, error) {
	file := r.tokenFile
	if file == "" && r.context == "" {
		if token, set := r.program.env("JETON_TOKEN"); set && token != "" {
			return token, nil
		}
		file, _ = r.program.env("JETON_TOKEN_FILE")
	}
	if file == "" {
		return "", nil
	}
	return r.program.readSecret(file, "token")
}

// checkURL refuses what is no address of a service, and takes a slash off its end.
func checkURL(text *string) error {
	u, err := url.Parse(*text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return usage("%q is no address of a service; write it like https://jeton.example.org", redact(*text))
	}
	*text = strings.TrimRight(*text, "/")
	return nil
}

// readSecret reads one line from a file, or from standard input for "-".
func (p *Program) readSecret(file, what string) (string, error) {
	var data []byte
	var err error
	if file == "-" {
		p.prompt(what)
		data, err = readLine(p.Stdin)
	} else {
		data, err = os.ReadFile(file)
	}
	if err != nil {
		return "", fmt.Errorf("read the %s: %w", what, err)
	}
	text := strings.TrimSpace(string(data))
	if text == "" {
		return "", usage("the %s is empty", what)
	}
	return text, nil
}

// prompt says what is waited for, if somebody sits there.
func (p *Program) prompt(what string) {
	if file, ok := p.Stdin.(*os.File); ok && isatty.IsTerminal(file.Fd()) {
		fmt.Fprintf(p.Stderr, "Paste the %s and press Enter: ", what)
	}
}

// readLine reads up to the end of the line and no further.
func readLine(r io.Reader) ([]byte, error) {
	const most = 4096
	var line []byte
	for one := make([]byte, 1); len(line) < most; {
		n, err := r.Read(one)
		if n == 1 && one[0] == '\n' || errors.Is(err, io.EOF) {
			return line, nil
		}
		if err != nil {
			return nil, err
		}
		line = append(line, one[:n]...)
	}
	return nil, errors.New("the line is too long")
}

func (p *Program) contextCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "context", Short: "Keep addresses and tokens for the client commands",
		Long: `Keeps addresses of services and the tokens to show there in one file that only its owner may read:
$JETON_CONTEXT, else $XDG_CONFIG_HOME/jeton/config.yaml, else ~/.config/jeton/config.yaml.
A file that others may read is refused.`,
	}
	helpful(cmd)
	cmd.AddCommand(p.contextSetCommand(), p.contextShowCommand(), p.contextListCommand(), p.contextUseCommand())
	return cmd
}

func (p *Program) contextSetCommand() *cobra.Command {
	var address, tokenFile string
	cmd := &cobra.Command{
		Use: "set NAME --url URL", Short: "Make or change a context; the token is read from standard input",
		Long: `Makes or changes a context and makes it the current one. The token is read from standard input, or
from --token-file; it is never an argument.`,
		Example: `  jeton context set default --url http://127.0.0.1:8080 < root.token`,
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := checkURL(&address); err != nil {
				return err
			}
			token, err := p.readSecret(tokenFile, "token")
			if err != nil {
				return err
			}
			return p.changeContexts(func(c *contexts) error {
				c.Contexts[args[0]] = server{URL: address, Token: token}
				c.Current = args[0]
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&address, "url", "", "address of the service")
	cmd.Flags().StringVar(&tokenFile, "token-file", "-", `file with the token; "-" is standard input`)
	return cmd
}

func (p *Program) changeContexts(change func(*contexts) error) error {
	all, path, err := p.readContexts()
	if err != nil {
		return err
	}
	if err := change(&all); err != nil {
		return err
	}
	return all.write(path)
}

func (p *Program) contextShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show [NAME]", Short: "Show a context, or the current one, without its secret", Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			all, path, err := p.readContexts()
			if err != nil {
				return err
			}
			name := strings.Join(args, "")
			s, err := all.named(name)
			if err != nil {
				return err
			}
			if s.URL == "" {
				return coded{errors.New("there is no current context\n  next: see jeton context set --help"), exitNotFound}
			}
			_, err = fmt.Fprintf(p.Stdout, "context: %s\nurl:     %s\ntoken:   %s\nfile:    %s\n", first(name, all.Current), s.URL, handleOf(s.Token), path)
			return err
		},
	}
}

// handleOf is the public beginning of a secret.
func handleOf(secret string) string {
	const public = len("jtn_pat_0123456789abcdef")
	if len(secret) <= public {
		return "[redacted]"
	}
	return secret[:public] + "…"
}

func (p *Program) contextListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List contexts", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			all, _, err := p.readContexts()
			if err != nil {
				return err
			}
			tab := tabwriter.NewWriter(p.Stdout, 0, 8, 2, ' ', 0)
			fmt.Fprintln(tab, "CURRENT\tNAME\tURL\tTOKEN")
			for _, name := range slices.Sorted(maps.Keys(all.Contexts)) {
				s := all.Contexts[name]
				fmt.Fprintf(tab, "%s\t%s\t%s\t%s\n", yes(name == all.Current), name, s.URL, handleOf(s.Token))
			}
			return tab.Flush()
		},
	}
}

func (p *Program) contextUseCommand() *cobra.Command {
	return &cobra.Command{
		Use: "use NAME", Short: "Make a context the current one", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return p.changeContexts(func(c *contexts) error {
				_, err := c.named(args[0])
				c.Current = args[0]
				return err
			})
		},
	}
}
