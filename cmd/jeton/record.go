package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// record is something that a program of Database Lab has sent, as the service shows it.
type record struct {
	ID      uint64          `json:"id"`
	Kind    string          `json:"kind"`
	Parent  uint64          `json:"parent"`
	Project string          `json:"project"`
	Key     string          `json:"key"`
	Facts   json.RawMessage `json:"facts"`
	Content []content       `json:"content"`
	KeptAt  time.Time       `json:"kept_at"`
	KeptBy  *author         `json:"kept_by"`
}

// content is a file that belongs to a record.
type content struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	Digest string `json:"digest"` // SHA-256, in hexadecimal
	Media  string `json:"media"`
}

var recordShape = shape[record]{
	cells: func(r record) []cell {
		cells := []cell{
			{"id", strconv.FormatUint(r.ID, 10), false}, {"kind", r.Kind, false}, {"project", r.Project, false}, {"key", r.Key, false},
			{"kept", moment(r.KeptAt, ""), false}, {"kept by", r.KeptBy.String(), false},
			{"facts", string(r.Facts), true},
		}
		if r.Parent != 0 {
			cells = append(cells, cell{"belongs to", strconv.FormatUint(r.Parent, 10), true})
		}
		for _, c := range r.Content {
			cells = append(cells, cell{"content", strings.TrimSpace(fmt.Sprintf("%s: %d bytes %s", c.Name, c.Size, c.Media)), true})
		}
		return cells
	},
	name: func(r record) string { return strconv.FormatUint(r.ID, 10) },
}

func (p *Program) recordCommand() *cobra.Command {
	cmd, r := p.remoteCommand(&cobra.Command{
		Use: "record", Short: "List, show, delete and download what programs of Database Lab have sent",
		Long: `Lists, shows and deletes what programs of Database Lab have sent to the organization (instances, observed
sessions, checkup reports, commands of Joe …), and downloads what is kept with it.

RECORD is the number of a record.`,
	})
	r.organizationFlag(cmd)
	cmd.AddCommand(r.recordListCommand(), r.recordShowCommand(), r.recordDeleteCommand(), r.recordDownloadCommand())
	return cmd
}

func (r *remote) recordListCommand() *cobra.Command {
	var limit int
	query := url.Values{}
	cmd := &cobra.Command{
		Use: "list", Short: "List records, the newest first",
		Example: `  jeton record list --kind checkup-report --project shop
  jeton record list --parent 120 -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.within(cmd.Context(), func(ctx context.Context, c *client, org string) error {
				all, err := c.list(ctx, org+"/records", query, limit)
				if err != nil {
					return err
				}
				return recordShape.list(r.program.Stdout, r.output, all)
			})
		},
	}
	cmd.Flags().Var(parameter{query, "kind"}, "kind", "only those of this kind, e.g. checkup-report or session")
	cmd.Flags().Var(parameter{query, "project"}, "project", "only those of this project, by name")
	cmd.Flags().Var(parameter{query, "parent"}, "parent", "only those that belong to this record")
	limitFlag(cmd, &limit)
	return cmd
}

func (r *remote) recordShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show RECORD", Short: "Show a record with its facts", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.onRecord(cmd.Context(), args[0], func(ctx context.Context, c *client, path string) error {
				var raw json.RawMessage
				if err := c.do(ctx, "GET", path, nil, &raw); err != nil {
					return err
				}
				return recordShape.one(r.program.Stdout, r.output, raw)
			})
		},
	}
}

func (r *remote) recordDeleteCommand() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "delete RECORD", Short: "Delete a record with all that belongs to it, for ever", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.onRecord(cmd.Context(), args[0], func(ctx context.Context, c *client, path string) error {
				return c.do(ctx, "DELETE", withReason(path, reason), nil, nil)
			})
		},
	}
	reasonFlag(cmd, &reason)
	return cmd
}

func (r *remote) recordDownloadCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: "download RECORD NAME", Short: "Download a file of a record: its data, a plan, a log",
		Long: `Downloads a file of a record, as jeton record show names them, to standard output or into a file, which
is there whole or not at all. What comes is held against the digest that the service has kept; if it
differs, the exit code is 1.`,
		Example: `  jeton record download 120 data > data.json
  jeton record download 120 data --file data.json`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.onRecord(cmd.Context(), args[0], func(ctx context.Context, c *client, path string) error {
				var is record
				if err := c.do(ctx, "GET", path, nil, &is); err != nil {
					return err
				}
				at := slices.IndexFunc(is.Content, func(p content) bool { return p.Name == args[1] })
				if at < 0 {
					return coded{fmt.Errorf("the record %s has no file %q\n  next: see jeton record show %s", args[0], args[1], args[0]), exitNotFound}
				}
				return r.download(ctx, c, path+"/content/"+url.PathEscape(args[1]), is.Content[at], file)
			})
		},
	}
	cmd.Flags().StringVar(&file, "file", "-", `file to write; "-" is standard output`)
	return cmd
}

// download writes a file to standard output, or to a file that is there whole or not
// at all.
func (r *remote) download(ctx context.Context, c *client, path string, kept content, file string) error {
	if file == "-" {
		return c.fetch(ctx, path, kept, r.program.Stdout)
	}
	f, err := os.CreateTemp(filepath.Dir(file), ".new-*") // made with 0600
	if err != nil {
		return err
	}
	err = errors.Join(c.fetch(ctx, path, kept, f), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// fetch copies what a path answers, and refuses what is not what was kept.
func (c *client) fetch(ctx context.Context, path string, kept content, to io.Writer) error {
	request, err := c.request(ctx, question{method: "GET", path: path})
	if err != nil {
		return err
	}
	response, err := c.HTTP.Do(request)
	if err != nil {
		return c.unreachable(err)
	}
	defer response.Body.Close()
	if response.StatusCode != 200 {
		return c.read(response, nil)
	}
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(to, sum), response.Body)
	if err != nil {
		return fmt.Errorf("the download broke off after %d bytes: %w", n, err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); n != kept.Size || got != kept.Digest {
		return fmt.Errorf("what came is not what was kept: %d bytes with the digest %s, and not %d with %s", n, got, kept.Size, kept.Digest)
	}
	return nil
}

// onRecord runs do with the path of a record.
func (r *remote) onRecord(ctx context.Context, number string, do func(context.Context, *client, string) error) error {
	if _, err := strconv.ParseUint(number, 10, 64); err != nil {
		return usage("%q is no number of a record\n  next: see jeton record list", number)
	}
	return r.within(ctx, func(ctx context.Context, c *client, org string) error {
		return do(ctx, c, org+"/records/"+number)
	})
}
