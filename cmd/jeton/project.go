package main

import (
	"context"
	"strconv"
	"time"

	"github.com/spf13/cobra"
)

// project is a project as the service shows it.
type project struct {
	ID        uint64    `json:"id"`
	Name      string    `json:"name"`
	CreatedAt time.Time `json:"created_at"`
}

var projectShape = shape[project]{
	cells: func(p project) []cell {
		return []cell{{"id", strconv.FormatUint(p.ID, 10), false}, {"name", p.Name, false}, {"created", moment(p.CreatedAt, ""), false}}
	},
	name: func(p project) string { return strconv.FormatUint(p.ID, 10) },
}

func (p *Program) projectCommand() *cobra.Command {
	cmd, r := p.remoteCommand(&cobra.Command{
		Use: "project", Short: "List projects",
		Long: `Lists projects: names under which an organization keeps together what belongs together. A project comes
into being when an engine, or what a program has sent, first names it.`,
	})
	r.organizationFlag(cmd)
	cmd.AddCommand(r.projectListCommand())
	return cmd
}

func (r *remote) projectListCommand() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "list", Short: "List projects, the oldest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.within(cmd.Context(), func(ctx context.Context, c *client, org string) error {
				all, err := c.list(ctx, org+"/projects", nil, limit)
				if err != nil {
					return err
				}
				return projectShape.list(r.program.Stdout, r.output, all)
			})
		},
	}
	limitFlag(cmd, &limit)
	return cmd
}
