package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"jeton/eventstore"
)

// signedHead is what an epoch has signed of an organization.
type signedHead struct {
	Epoch    int64     `json:"epoch"`
	Position uint64    `json:"position"`
	Time     time.Time `json:"time"`
	Size     int64     `json:"size"`
	Root     string    `json:"root"`
}

var headShape = shape[signedHead]{
	cells: func(h signedHead) []cell {
		return []cell{
			{"epoch", strconv.FormatInt(h.Epoch, 10), false}, {"signed", moment(h.Time, "-"), false},
			{"position", strconv.FormatUint(h.Position, 10), false}, {"commits", strconv.FormatInt(h.Size, 10), false}, {"root", h.Root, false},
		}
	},
	name: func(h signedHead) string { return strconv.FormatInt(h.Epoch, 10) },
}

var signingKeyShape = shape[eventstore.PublicKey]{
	cells: func(k eventstore.PublicKey) []cell {
		return []cell{{"number", strconv.FormatInt(k.Number, 10), false}, {"verifier", k.Verifier, false}, {"endorsement", k.Endorsement, true}}
	},
	name: func(k eventstore.PublicKey) string { return k.Verifier },
}

func (p *Program) auditCommand() *cobra.Command {
	cmd, r := p.remoteCommand(&cobra.Command{
		Use: "audit", Short: "Search, follow, export and look back at what happened, and prove it",
		Long: `Whatever happens in an organization is an entry of its audit log, with who did it, what was before,
and where it stands.

Every minute in which something has happened, the service signs an epoch over the histories of all
organizations. With it everybody can check by themselves, and without the service, that nothing of
a history was removed, changed, put into another order or cut off.`,
	})
	r.organizationFlag(cmd)
	cmd.AddCommand(r.auditListCommand(), r.auditTailCommand(), r.auditExportCommand(),
		r.auditAsOfCommand(), r.auditDiffCommand(), r.auditReplayCommand(),
		p.auditVerifyCommand(r), r.auditBundleCommand(), r.auditProofCommand(), r.auditHeadsCommand(), r.auditKeysCommand(), r.auditRotateKeyCommand())
	return cmd
}

// verify is what jeton audit verify was asked for.
type verify struct {
	*remote
	keys, anchor string
}

func (p *Program) auditVerifyCommand(r *remote) *cobra.Command {
	v := verify{remote: r}
	cmd := &cobra.Command{
		Use: "verify BUNDLE [--key FILE]", Short: "Check a bundle or a proof, without the service",
		Long: `Checks all of a bundle (jeton audit bundle) or of a proof (jeton audit proof), offline: that every
commit is there, as it was and where it was, that the epochs have signed exactly that, and that the
keys are those that are trusted. It ends with 0, or says where it breaks and ends with 1.

--key names a file with the public keys that are trusted, one a line, as jeton audit keys -o name
prints them. Keys that a trusted key has endorsed are trusted, too. Without it the first key of the
bundle is believed, so that it is shown to be of one piece, but not whose it is.

--anchor names a file with epochs that were kept elsewhere, as the setting anchor-file keeps them: a
bundle that tells another history than they signed, or ends before them, is found.`,
		Example: `  jeton audit verify acme.bundle --key keys.txt
  jeton audit verify acme.bundle --key keys.txt --anchor /mnt/worm/epochs.txt -o json`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return v.run(args[0]) },
	}
	cmd.Flags().StringVar(&v.keys, "key", "", "file with the public keys that are trusted, one a line")
	cmd.Flags().StringVar(&v.anchor, "anchor", "", "file with the notes of epochs that were kept elsewhere")
	return cmd
}

func (v *verify) run(path string) error {
	trust, err := v.trust()
	if err != nil {
		return err
	}
	from, closing, err := v.open(path)
	if err != nil {
		return err
	}
	defer closing()
	shown, err := verified(from, trust)
	if err != nil {
		return v.broken(err)
	}
	return v.show(shown)
}

func (v *verify) trust() (t eventstore.Trust, err error) {
	if v.keys != "" {
		text, err := os.ReadFile(v.keys)
		if err != nil {
			return t, usage("--key: %w", err)
		}
		t.Keys = []string{}
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
				t.Keys = append(t.Keys, line)
			}
		}
		if len(t.Keys) == 0 {
			return t, usage("--key: %s has no key in it", v.keys)
		}
	}
	if v.anchor != "" {
		text, err := os.ReadFile(v.anchor)
		if err != nil {
			return t, usage("--anchor: %w", err)
		}
		if t.Anchor = eventstore.SplitNotes(string(text)); len(t.Anchor) == 0 {
			return t, usage("--anchor: %s has no epoch in it", v.anchor)
		}
	}
	return t, nil
}

func (v *verify) open(path string) (*bufio.Reader, func(), error) {
	if path == "-" {
		return bufio.NewReader(v.program.Stdin), func() {}, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, nil, usage("%w", err)
	}
	return bufio.NewReader(file), func() { _ = file.Close() }, nil
}

// proofLimit is larger than any proof.
const proofLimit = 64 << 20

func verified(from *bufio.Reader, trust eventstore.Trust) (eventstore.Shown, error) {
	const bundle = `{"header"`
	if begin, _ := from.Peek(len(bundle)); string(begin) == bundle {
		return eventstore.VerifyBundle(from, trust)
	}
	text, err := io.ReadAll(io.LimitReader(from, proofLimit))
	if err != nil {
		return eventstore.Shown{}, err
	}
	return eventstore.VerifyProof(text, trust)
}

// broken says where it breaks.
func (v *verify) broken(err error) error {
	var at *eventstore.Break
	if v.output != "json" || !errors.As(err, &at) {
		return err
	}
	if err := writeJSON(v.program.Stdout, map[string]any{"valid": false, "line": at.Line, "position": at.Position, "epoch": at.Epoch, "what": at.What}); err != nil {
		return err
	}
	return silent(exitError)
}

// show says what was shown.
func (v *verify) show(s eventstore.Shown) error {
	switch v.output {
	case "json":
		return writeJSON(v.program.Stdout, struct {
			Valid bool `json:"valid"`
			eventstore.Shown
		}{true, s})
	case "name":
		_, err := fmt.Fprintln(v.program.Stdout, s.Organization)
		return err
	}
	tab := tabwriter.NewWriter(v.program.Stdout, 0, 8, 1, ' ', 0)
	for _, fact := range facts(s) {
		fmt.Fprintf(tab, "%s:\t%s\n", fact[0], fact[1])
	}
	if err := tab.Flush(); err != nil || s.Trusted {
		return err
	}
	_, err := fmt.Fprintln(v.program.Stdout, "\nThe key is the one that stands in it: this shows that all is of one piece, not whose it is.\nTrust a key that you have from elsewhere with --key FILE.")
	return err
}

func facts(s eventstore.Shown) (all [][2]string) {
	name := s.Organization.String()
	if s.Alias != "" {
		name = s.Alias + " (" + name + ")"
	}
	all = append(all, [2]string{"organization", name}, [2]string{"log", s.Log})
	if s.Commits > 0 {
		all = append(all, [2]string{"commits", fmt.Sprintf("%d, at positions %d to %d, all there and as they were", s.Commits, s.First, s.Last)})
	}
	if s.Epoch == nil {
		return append(all, [2]string{"signed", "nothing yet"})
	}
	all = append(all,
		[2]string{"signed", fmt.Sprintf("up to position %d, by epoch %d at %s", s.Epoch.Position, s.Epoch.Number, s.Epoch.Time)},
		[2]string{"key", s.Key})
	if s.Unsigned > 0 {
		all = append(all, [2]string{"not signed yet", fmt.Sprintf("the last %d of the commits", s.Unsigned)})
	}
	if s.Older != nil {
		all = append(all, [2]string{"extends", fmt.Sprintf("epoch %d of %s, up to position %d", s.Older.Number, s.Older.Time, s.Older.Position)})
	}
	if s.Anchored > 0 {
		all = append(all, [2]string{"anchored", fmt.Sprintf("%d epochs that were kept elsewhere are the same", s.Anchored)})
	}
	return all
}

func (r *remote) auditBundleCommand() *cobra.Command {
	var from uint64
	out := "-"
	cmd := &cobra.Command{
		Use: "bundle [--out FILE]", Short: "Export an organization's history with its proofs",
		Long: `Writes the history of an organization, with the epochs that have signed it and all that it takes to
check them, for jeton audit verify. Without --out it goes to standard output. It is the same as
jeton audit export --format bundle.`,
		Example: `  jeton audit bundle --out acme.bundle
  jeton audit bundle --from 1200 | jeton audit verify -`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			query := url.Values{}
			if from > 0 {
				query.Set("from", strconv.FormatUint(from, 10))
			}
			return r.bundle(cmd.Context(), query, out)
		},
	}
	cmd.Flags().StringVar(&out, "out", "-", `file to write to, which must not be there yet; "-" is standard output`)
	cmd.Flags().Uint64Var(&from, "from", 0, "begin with this position; 0: with the first commit")
	return cmd
}

// bundle writes a bundle. Of what entries can be asked for it takes from.
func (r *remote) bundle(ctx context.Context, query url.Values, out string) error {
	for name := range query {
		if name != "from" {
			return usage("a bundle is the whole history: it can't be filtered\n  next: leave the filters away; of them a bundle takes --from, with a position")
		}
	}
	query.Set("format", "bundle")
	c, err := r.client() // without --timeout: a long history takes long
	if err != nil {
		return err
	}
	org, err := r.organizationOf(ctx, c)
	if err != nil {
		return err
	}
	return r.save(ctx, c, "organizations/"+url.PathEscape(org)+"/audit/export?"+query.Encode(), out)
}

// save writes what a path answers into a file, or to standard output.
func (r *remote) save(ctx context.Context, c *client, path, out string) (err error) {
	if out == "-" {
		return c.copy(ctx, path, r.program.Stdout)
	}
	file, err := os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return usage("--out: %w", err)
	}
	defer func() {
		if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
			err = errors.Join(err, os.Remove(out))
		}
	}()
	return c.copy(ctx, path, file)
}

// copy writes what a path answers as it comes.
func (c *client) copy(ctx context.Context, path string, to io.Writer) error {
	request, err := c.request(ctx, question{method: "GET", path: path})
	if err != nil {
		return err
	}
	response, err := c.HTTP.Do(request)
	if err != nil {
		return c.unreachable(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return c.read(response, nil)
	}
	if _, err := io.Copy(to, response.Body); err != nil {
		return coded{fmt.Errorf("the answer broke off: %w", err), exitUnavailable}
	}
	return nil
}

func (r *remote) auditProofCommand() *cobra.Command {
	var epoch, from uint64
	cmd := &cobra.Command{
		Use: "proof [POSITION]", Short: "Prove that a commit is in the log, or that the log extends what it was",
		Long: `Prints a proof, as JSON, for jeton audit verify: that the commit at a position is in the history that
the newest epoch (or --epoch) has signed; with --from EPOCH, that the history as that older epoch has
signed it is the beginning of this one.`,
		Example: `  jeton audit proof 120 > proof.json
  jeton audit proof --from 4321 | jeton audit verify - --key keys.txt`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			query := url.Values{}
			if len(args) > 0 {
				query.Set("position", args[0])
			}
			for name, number := range map[string]uint64{"epoch": epoch, "from": from} {
				if number > 0 {
					query.Set(name, strconv.FormatUint(number, 10))
				}
			}
			return r.within(cmd.Context(), func(ctx context.Context, c *client, org string) error {
				var proof json.RawMessage
				if err := c.do(ctx, "GET", org+"/audit/proof?"+query.Encode(), nil, &proof); err != nil {
					return err
				}
				return writeJSON(r.program.Stdout, proof)
			})
		},
	}
	cmd.Flags().Uint64Var(&epoch, "epoch", 0, "the epoch that has signed it; 0: the newest")
	cmd.Flags().Uint64Var(&from, "from", 0, "an older epoch, whose history this one extends")
	return cmd
}

func (r *remote) auditHeadsCommand() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "heads", Short: "List what epochs have signed of an organization, the newest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.within(cmd.Context(), func(ctx context.Context, c *client, org string) error {
				all, err := c.heads(ctx, org+"/audit/heads", limit)
				if err != nil {
					return err
				}
				return headShape.list(r.program.Stdout, r.output, all)
			})
		},
	}
	limitFlag(cmd, &limit)
	return cmd
}

// heads reads the pages of the list of heads, up to limit; 0: all.
func (c *client) heads(ctx context.Context, path string, limit int) ([]json.RawMessage, error) {
	all, query := []json.RawMessage{}, url.Values{"limit": {strconv.Itoa(pageSize)}}
	for {
		var part struct {
			Items []json.RawMessage `json:"items"`
			Next  int64             `json:"next"`
		}
		if err := c.do(ctx, "GET", path+"?"+query.Encode(), nil, &part); err != nil {
			return nil, err
		}
		all = append(all, part.Items...)
		if limit > 0 && len(all) >= limit {
			return all[:limit], nil
		}
		if part.Next == 0 {
			return all, nil
		}
		query.Set("before", strconv.FormatInt(part.Next, 10))
	}
}

func (r *remote) auditKeysCommand() *cobra.Command {
	return &cobra.Command{
		Use: "keys", Short: "List the public keys that sign the log, the oldest first",
		Long:    `Lists the public keys with which the log is signed. -o name prints what jeton audit verify --key reads.`,
		Example: `  jeton audit keys -o name > keys.txt`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.ask(cmd.Context(), func(ctx context.Context, c *client) error {
				keys, err := c.signingKeys(ctx)
				if err != nil {
					return err
				}
				return signingKeyShape.list(r.program.Stdout, r.output, keys)
			})
		},
	}
}

func (c *client) signingKeys(ctx context.Context) ([]json.RawMessage, error) {
	request, err := http.NewRequestWithContext(ctx, "GET", c.URL+"/.well-known/jeton-signing-keys", nil)
	if err != nil {
		return nil, err
	}
	response, err := c.HTTP.Do(request)
	if err != nil {
		return nil, c.unreachable(err)
	}
	defer response.Body.Close()
	var published struct {
		Keys []json.RawMessage `json:"keys"`
	}
	err = c.read(response, &published)
	return published.Keys, err
}

func (r *remote) auditRotateKeyCommand() *cobra.Command {
	var replaces int64
	cmd := &cobra.Command{
		Use: "rotate-key", Short: "Give the log a new signing key, which the one before endorses (operators)", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.ask(cmd.Context(), func(ctx context.Context, c *client) error {
				var key json.RawMessage
				if err := c.do(ctx, "POST", "signing-keys", map[string]int64{"replaces": replaces}, &key); err != nil {
					return err
				}
				return signingKeyShape.one(r.program.Stdout, r.output, key)
			})
		},
	}
	cmd.Flags().Int64Var(&replaces, "replaces", 0, "number of the key that is to be replaced; refused if it is another one by now. 0: whichever it is")
	return cmd
}
