package domain

import "slices"

// Role is what a member may do, as one word.
type Role uint8

const (
	NoRole Role = iota
	Auditor
	Ordinary // "member": the role of most people
	Admin
	Owner
)

var roleNames = [...]string{"", "auditor", "member", "admin", "owner"}

var (
	memberPermissions = permissions(OrganizationRead, MembersRead, TokensCheck,
		TokensReadOwn, TokensCreatePersonal, TokensUpdateOwn, TokensRevokeOwn)

	// An auditor reads everything and changes nothing, not even tokens of their
	// own: what they hold was given to them.
	auditorPermissions = permissions(OrganizationRead, MembersRead, TokensCheck,
		TokensReadOwn, TokensReadAny, LogRead)

	adminPermissions = memberPermissions | permissions(OrganizationUpdate,
		MembersAdd, MembersUpdate, MembersRemove, TokensReadAny,
		TokensCreateAdministrative, TokensUpdateAny, TokensRevokeAny, LogRead)

	rolePermissions = [...]Permissions{NoRole: 0, Auditor: auditorPermissions,
		Ordinary: memberPermissions, Admin: adminPermissions, Owner: adminPermissions}

	// administrativePermissions is what an administrative token may do here: ask
	// about tokens, and stop a leaked one. It makes neither tokens nor members,
	// so that whoever steals it cannot leave a successor behind.
	administrativePermissions = permissions(OrganizationRead, MembersRead,
		TokensCheck, TokensReadAny, TokensRevokeAny)
)

// Permissions is what the role allows. Owner and admin differ in one rule only:
// owners are made, changed and removed by owners. See Organization.mayAssign.
func (r Role) Permissions() Permissions {
	if int(r) >= len(rolePermissions) {
		return 0
	}
	return rolePermissions[r]
}

func (r Role) String() string {
	if int(r) >= len(roleNames) {
		return ""
	}
	return roleNames[r]
}

// ParseRole knows owner, admin, member and auditor. Anything else is ErrInvalid.
func ParseRole(name string) (Role, error) {
	if i := slices.Index(roleNames[:], name); i > 0 {
		return Role(i), nil
	}
	return NoRole, Invalid("role", "%q is not a role", "take owner, admin, member or auditor", clip(name))
}

// check refuses what is no role.
func (r Role) check() error {
	if r.String() == "" {
		return Invalid("role", "is missing", "take owner, admin, member or auditor")
	}
	return nil
}

// MarshalText writes the role's name.
func (r Role) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText is the way back.
func (r *Role) UnmarshalText(text []byte) error {
	role, err := ParseRole(string(text))
	*r = role
	return err
}
