package main

import (
	"context"
	"encoding/json"
	"net/url"

	"github.com/spf13/cobra"
)

// permission is a permission as the service shows it, and as it is defined.
type permission struct {
	Name           string `json:"name"`
	Group          string `json:"group"`
	Access         string `json:"access"`
	Administrative bool   `json:"administrative,omitempty"`
	ResourceType   string `json:"resource_type,omitempty"`
	Description    string `json:"description,omitempty"`
	Own            bool   `json:"own,omitempty"`
}

var permissionShape = shape[permission]{
	cells: func(p permission) []cell {
		return []cell{
			{"name", p.Name, false}, {"group", p.Group, false}, {"access", p.Access, false}, {"administrative", yes(p.Administrative), false},
			{"resource type", p.ResourceType, false}, {"own", yes(p.Own), false}, {"description", p.Description, false},
		}
	},
	name: func(p permission) string { return p.Name },
}

func (p *Program) permissionCommand() *cobra.Command {
	cmd, r := p.remoteCommand(&cobra.Command{
		Use: "permission", Short: "List, define and retire permissions",
		Long: `Lists permissions, defines those that engines of an organization ask about, and retires them. Those of
Jeton itself are in every organization.`,
	})
	r.organizationFlag(cmd)
	cmd.AddCommand(r.permissionListCommand(), r.permissionDefineCommand(), r.permissionRetireCommand())
	return cmd
}

func (r *remote) permissionListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List permissions, those of Jeton itself first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.within(cmd.Context(), func(ctx context.Context, c *client, org string) error {
				all, err := c.all(ctx, org+"/permissions")
				if err != nil {
					return err
				}
				return permissionShape.list(r.program.Stdout, r.output, all)
			})
		},
	}
}

func (r *remote) permissionDefineCommand() *cobra.Command {
	var wanted permission
	cmd := &cobra.Command{
		Use: "define NAME --group GROUP --access read|write", Short: "Define a permission that an engine asks about",
		Long: `Defines a permission that an engine of the organization asks about. Whether it is about reading or
writing is said here and never guessed from the name. Members have it at once, as far as their roles
have all that is of its kind.`,
		Example: `  jeton permission define clones.create --group clones --access write --resource-type engine --description "make clones"`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if wanted.Name = args[0]; wanted.Group == "" || wanted.Access == "" {
				return usage("--group and --access are needed\n  next: say which group it belongs to, and whether it is about reading or writing")
			}
			return r.definePermission(cmd.Context(), wanted)
		},
	}
	cmd.Flags().StringVar(&wanted.Group, "group", "", "what it is listed under")
	cmd.Flags().Var(choice(&wanted.Access, "read", "write"), "access", "write: whoever has it can change something")
	cmd.Flags().StringVar(&wanted.ResourceType, "resource-type", "", "what kind of thing it is about, e.g. engine (default: nothing in particular)")
	cmd.Flags().BoolVar(&wanted.Administrative, "administrative", false, "it is about the organization and not about the work in it: ordinary members do not have it")
	cmd.Flags().StringVar(&wanted.Description, "description", "", "what whoever has it may do")
	return cmd
}

func (r *remote) definePermission(ctx context.Context, wanted permission) error {
	return r.within(ctx, func(ctx context.Context, c *client, org string) error {
		var made json.RawMessage
		if err := c.do(ctx, "POST", org+"/permissions", wanted, &made); err != nil {
			return err
		}
		return permissionShape.one(r.program.Stdout, r.output, made)
	})
}

func (r *remote) permissionRetireCommand() *cobra.Command {
	return &cobra.Command{
		Use: "retire NAME", Short: "Retire a permission: nobody has it any more", Args: cobra.ExactArgs(1),
		Long: `Retires a permission: from now on nobody has it, whatever roles and tokens say. If one of the same
name is defined later, that is another one, and what was given before does not revive.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.within(cmd.Context(), func(ctx context.Context, c *client, org string) error {
				return c.do(ctx, "DELETE", org+"/permissions/"+url.PathEscape(args[0]), nil, nil)
			})
		},
	}
}
