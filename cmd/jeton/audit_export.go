package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
)

func (r *remote) auditExportCommand() *cobra.Command {
	var f *auditFilter
	format, out := "jsonl", "-"
	const bundled = "bundle"
	cmd := &cobra.Command{
		Use: "export", Short: "Write the audit log, or a part of it, into a file",
		Long: `Writes the entries of the audit log that meet all filters, the oldest first: as JSON lines, as CSV, or as
CloudEvents (JSON lines, too). A file is there whole or not at all; if what goes to standard output is cut
off, the exit code is 1.

--format bundle is the same as jeton audit bundle: the history itself with its proofs, for jeton audit
verify. It has no filters; of them it takes --from, as the position to begin with.`,
		Example: `  jeton audit export --format csv --out march.csv --from 2027-03-01T00:00:00Z --to 2027-04-01T00:00:00Z
  jeton audit export --format cloudevents | jq -r .type
  jeton audit export --format bundle --out acme.bundle`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			query, err := f.query(r.program)
			if err != nil {
				return err
			}
			if format == bundled {
				return r.bundle(cmd.Context(), query, out)
			}
			query.Set("format", format)
			return r.auditExport(cmd.Context(), query, out)
		},
	}
	f = auditFlags(cmd)
	cmd.Flags().Var(choice(&format, "jsonl", "csv", "cloudevents", bundled), "format", "how to write it")
	cmd.Flags().StringVar(&out, "out", "-", `file to write; "-" is standard output`)
	return cmd
}

func (r *remote) auditExport(ctx context.Context, query url.Values, out string) error {
	c, err := r.client()
	if err != nil {
		return err
	}
	org, err := r.organizationOf(ctx, c)
	if err != nil {
		return err
	}
	path := "organizations/" + url.PathEscape(org) + "/audit/export?" + query.Encode()
	if out == "-" {
		return c.export(ctx, path, r.program.Stdout)
	}
	file, err := os.CreateTemp(filepath.Dir(out), ".new-*") // made with 0600
	if err != nil {
		return err
	}
	err = errors.Join(c.export(ctx, path, file), file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), out)
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return nil
}

// export copies what a path answers, and refuses what does not end with how much it is.
func (c *client) export(ctx context.Context, path string, to io.Writer) error {
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
	n, err := io.Copy(to, response.Body)
	if err == nil && response.Trailer.Get("Jeton-Exported") == "" {
		err = errors.New("its end is missing")
	}
	if err != nil {
		return fmt.Errorf("the export was cut off after %d bytes: %w\n  next: export again", n, err)
	}
	return nil
}
