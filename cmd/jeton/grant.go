package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// grant is what a token or a service account is given, as the service writes it.
type grant struct {
	Access      string   `json:"access,omitempty"`
	Role        string   `json:"role,omitempty"`
	Permissions []string `json:"permissions,omitempty"`
	Resources   []string `json:"resources,omitempty"`
}

// String is the grant in words; empty: what tokens of its kind have anyway.
func (g *grant) String() string {
	if g == nil {
		return ""
	}
	words := g.Access
	switch g.Access {
	case "role":
		words = "role " + g.Role
	case "custom":
		words = strings.Join(g.Permissions, " ")
	}
	if len(g.Resources) == 0 {
		return words
	}
	return first(words, "usual") + " on " + strings.Join(g.Resources, " ")
}

// grantFlags are the flags that say a grant. Which kind of access is meant follows
// from which of them is there.
type grantFlags struct {
	cmd  *cobra.Command
	said grant
}

const usualAccess = "usual"

func newGrantFlags(cmd *cobra.Command, access ...string) *grantFlags {
	g := &grantFlags{cmd: cmd}
	flags := cmd.Flags()
	flags.Var(choice(&g.said.Access, access...), "grant", "what it may do, never more than its holder: read-only, or full-access"+usualUsage(access))
	flags.StringVar(&g.said.Role, "role", "", "instead: what this role allows")
	flags.Var(several{&g.said.Permissions, "PERMISSION"}, "permission", "instead: this permission; can be given several times")
	flags.Var(several{&g.said.Resources, "RESOURCE"}, "resource", "only on this, written type:id, or type:* for all of a type; can be given several times")
	return g
}

func usualUsage(access []string) string {
	if slices.Contains(access, usualAccess) {
		return "; usual: what tokens of its kind may do anyway"
	}
	return ""
}

// given reports whether any of the flags is there.
func (g *grantFlags) given() bool { return g.access() || g.cmd.Flags().Changed("resource") }

// access reports whether the flags say more than resources.
func (g *grantFlags) access() bool {
	flags := g.cmd.Flags()
	return flags.Changed("grant") || flags.Changed("role") || flags.Changed("permission")
}

// over is the grant that the flags make of one that is there: what they do not
// name stays. The service takes a grant as a whole, so a flag left out would
// otherwise widen what it was there to narrow. Nil: they say nothing.
func (g *grantFlags) over(was *grant) (*grant, error) {
	if !g.given() {
		return nil, nil
	}
	is := grant{}
	if was != nil {
		is = *was
	}
	if g.access() {
		if err := g.settle(); err != nil {
			return nil, err
		}
		is.Access, is.Role, is.Permissions = g.said.Access, g.said.Role, g.said.Permissions
	}
	if g.cmd.Flags().Changed("resource") {
		is.Resources = listed(g.said.Resources)
	}
	return &is, nil
}

// settle finds the kind of access, and refuses two of them.
func (g *grantFlags) settle() error {
	kinds := 0
	for _, name := range []string{"grant", "role", "permission"} {
		if g.cmd.Flags().Changed(name) {
			kinds++
		}
	}
	switch {
	case kinds > 1:
		return usage("--grant, --role and --permission are three ways to say what it may do\n  next: give one of them")
	case g.said.Role != "":
		g.said.Access = "role"
	case len(g.said.Permissions) > 0:
		g.said.Access = "custom"
	case g.said.Access == usualAccess:
		g.said.Access = ""
	}
	return nil
}
