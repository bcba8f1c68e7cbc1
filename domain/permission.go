package domain

import "slices"

// Permission is one thing that can be allowed.
type Permission uint8

const (
	NoPermission Permission = iota
	OrganizationRead
	OrganizationUpdate
	MembersRead
	MembersAdd
	MembersUpdate
	MembersRemove
	TokensCheck
	TokensReadOwn
	TokensReadAny
	TokensCreatePersonal
	TokensCreateAdministrative
	TokensUpdateOwn
	TokensUpdateAny
	TokensRevokeOwn
	TokensRevokeAny
	LogRead
	permissionCount
)

var permissionNames = [permissionCount]string{
	OrganizationRead:           "organization.read",
	OrganizationUpdate:         "organization.update",
	MembersRead:                "members.read",
	MembersAdd:                 "members.add",
	MembersUpdate:              "members.update",
	MembersRemove:              "members.remove",
	TokensCheck:                "tokens.check",
	TokensReadOwn:              "tokens.read-own",
	TokensReadAny:              "tokens.read-any",
	TokensCreatePersonal:       "tokens.create-personal",
	TokensCreateAdministrative: "tokens.create-administrative",
	TokensUpdateOwn:            "tokens.update-own",
	TokensUpdateAny:            "tokens.update-any",
	TokensRevokeOwn:            "tokens.revoke-own",
	TokensRevokeAny:            "tokens.revoke-any",
	LogRead:                    "log.read",
}

func (p Permission) String() string {
	if p >= permissionCount {
		return ""
	}
	return permissionNames[p]
}

// ParsePermission knows every permission by its name; anything else is
// NoPermission, which nobody has.
func ParsePermission(name string) Permission {
	if i := slices.Index(permissionNames[:], name); i > 0 {
		return Permission(i)
	}
	return NoPermission
}

// Permissions is a set of them.
type Permissions uint64

func permissions(all ...Permission) (set Permissions) {
	for _, p := range all {
		set |= 1 << p
	}
	return set
}

// Has reports whether p is in the set. NoPermission is in none.
func (set Permissions) Has(p Permission) bool {
	return p != NoPermission && p < permissionCount && set&(1<<p) != 0
}
