package domain

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What each may do, in full. A permission that moves from one line to another is
// a change of the promise that roles are.
func TestPermissions(t *testing.T) {
	const (
		read  = "organization.read members.read tokens.check"
		own   = " tokens.read-own tokens.create-personal tokens.update-own tokens.revoke-own"
		admin = " organization.update members.add members.update members.remove tokens.read-any" +
			" tokens.create-administrative tokens.update-any tokens.revoke-any log.read"
	)
	for who, c := range map[string]struct {
		got  Permissions
		want string
	}{
		"nobody":               {NoRole.Permissions(), ""},
		"auditor":              {Auditor.Permissions(), read + " tokens.read-own tokens.read-any log.read"},
		"member":               {Ordinary.Permissions(), read + own},
		"admin":                {Admin.Permissions(), read + own + admin},
		"owner":                {Owner.Permissions(), read + own + admin},
		"administrative token": {administrativePermissions, read + " tokens.read-any tokens.revoke-any"},
		"no role there is":     {Role(len(roleNames)).Permissions(), ""},
	} {
		t.Run(who, func(t *testing.T) {
			want := strings.Fields(c.want)
			slices.Sort(want)
			if diff := cmp.Diff(want, permissionsOf(c.got)); diff != "" {
				t.Errorf("permissions (-want +got):\n%s", diff)
			}
		})
	}
}

func permissionsOf(set Permissions) []string {
	names := []string{}
	for p := range Permission(255) {
		if set.Has(p) {
			names = append(names, p.String())
		}
	}
	slices.Sort(names)
	return names
}

func TestPermissionNames(t *testing.T) {
	for p := NoPermission + 1; p < permissionCount; p++ {
		if got := ParsePermission(p.String()); p.String() == "" || got != p {
			t.Errorf("permission %d is called %q, which is %d", p, p, got)
		}
	}
	for _, name := range []string{"", "tokens", "Tokens.check", "tokens.check ", "root"} {
		if got := ParsePermission(name); got != NoPermission {
			t.Errorf("%q is permission %d, want none", name, got)
		}
	}
	if got := permissionCount.String() + Permission(255).String(); got != "" {
		t.Errorf("permissions that do not exist are called %q", got)
	}
	if everything := ^Permissions(0); everything.Has(NoPermission) || everything.Has(permissionCount) {
		t.Error("the set of everything has what is no permission")
	}
}

func TestRoleNames(t *testing.T) {
	for role, name := range map[Role]string{Auditor: "auditor", Ordinary: "member", Admin: "admin", Owner: "owner"} {
		text, err := role.MarshalText()
		if string(text) != name || err != nil {
			t.Errorf("role %d is written %q, %v, want %q", role, text, err, name)
		}
		var again Role
		if err := again.UnmarshalText(text); err != nil || again != role {
			t.Errorf("%q is read as %d, %v", text, again, err)
		}
	}
	for _, name := range []string{"", "Owner", "ordinary", " owner", "root"} {
		_, err := ParseRole(name)
		checkRefusal(t, err, ErrInvalid, "role: ")
	}
	if got := Role(99).String(); got != "" {
		t.Errorf("a role that does not exist is called %q", got)
	}
}

func TestTokenKindNames(t *testing.T) {
	for kind, name := range map[TokenKind]string{Personal: "personal", Administrative: "administrative"} {
		text, err := kind.MarshalText()
		if string(text) != name || err != nil {
			t.Errorf("kind %d is written %q, %v, want %q", kind, text, err, name)
		}
		var again TokenKind
		if err := again.UnmarshalText(text); err != nil || again != kind {
			t.Errorf("%q is read as %d, %v", text, again, err)
		}
	}
	for _, name := range []string{"", "Personal", "pat", "adm", "personal "} {
		_, err := ParseTokenKind(name)
		checkRefusal(t, err, ErrInvalid, "kind: ")
	}
	if got := TokenKind(99).String(); got != "" {
		t.Errorf("a kind that does not exist is called %q", got)
	}
}
