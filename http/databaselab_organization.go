package http

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"iter"
	"net/http"
	"slices"
	"strings"

	"jeton/domain"
	"jeton/projections"
)

func (d *dialect) organizationRoutes() []route {
	return []route{
		labView(d, "orgs", "Show the caller's organization", d.orgs, nil, domain.OrganizationRead),
		{pattern: "PATCH " + d.databaseLab("/orgs"), summary: "Rename the caller's organization, or change where it sends its events", audit: "organization.renamed webhook.created webhook.changed webhook.switched webhook.deleted",
			access: labArguments[labOrgUpdate](d, decode), mount: labMount(d, nil, d.orgPatch)},
		labView(d, "org_users", "List members with their roles", d.orgUsers, nil, domain.MembersRead),
		labView(d, "org_keys", "List tokens that can be shown as Org-Key, without their secrets", d.orgKeys, nil, domain.TokensReadAny),
		labFunction(d, "user_create_org", "Make an organization", "organization.created member.added token.issued", d.orgCreate),
		labFunction(d, "user_invite_org_user", "Add a member", "account.registered member.added", d.orgInvite),
		labFunction(d, "user_update_org_user", "Change a member's role", "member.role_changed", d.orgUserUpdate),
		labFunction(d, "user_delete_org_user", "Remove a member, or leave", "member.removed token.revoked", d.orgUserDelete),
		labView(d, "audit_log", "Read what happened", d.auditLog, nil, domain.LogRead).reading(readsList),
	}
}

// labProfile is a row of the view orgs. What we do not have is as it is for who does
// not use it: nobody joins by themselves, there are no domains.
type labProfile struct {
	ID             domain.Position `json:"id"`
	Name           string          `json:"name"`
	Alias          string          `json:"alias"`
	CreatedAt      domain.Instant  `json:"created_at"`
	UsersAutojoin  bool            `json:"users_autojoin"`
	OnboardingText *string         `json:"onboarding_text"`
	Domains        struct{}        `json:"domains"`
	labSIEM
}

func labProfileOf(p projections.Profile) labProfile {
	return labProfile{ID: p.Number, Name: p.Name, Alias: p.Alias, CreatedAt: p.Created}
}

func (d *dialect) orgs(ctx context.Context, c Caller, _ labQuery) (iter.Seq2[labProfile, error], error) {
	profile, _ := d.Model.Profile(c.Organization)
	return labListed([]labProfile{d.withSIEM(ctx, c, labProfileOf(profile))}), nil
}

type labOrgUpdate struct {
	labCaller
	Name  *string `json:"name"`
	Alias *string `json:"alias"`
	labSIEMUpdate
}

// orgPatch answers PATCH orgs?id=eq.1 with the row, in an array.
func (d *dialect) orgPatch(w http.ResponseWriter, r *http.Request, c Caller) error {
	id, found := strings.CutPrefix(r.URL.Query().Get("id"), "eq.")
	if !found || len(r.URL.Query()) > 1 {
		return domain.Invalid("id", "is missing", "name the organization with id=eq.1, and nothing else")
	}
	if position(id) != c.Number {
		return labOwn(c, 1<<62)
	}
	row, err := d.orgUpdate(r.Context(), c, r.Body.(*labBody[labOrgUpdate]).arguments)
	if err != nil {
		return err
	}
	return encode(w, []labProfile{row})
}

func (d *dialect) orgUpdate(ctx context.Context, c Caller, asked labOrgUpdate) (none labProfile, err error) {
	profile, _ := d.Model.Profile(c.Organization)
	if asked.Alias != nil && *asked.Alias != profile.Alias {
		return none, domain.Refuse(domain.ErrState, "u_orgs_alias: the alias of an organization never changes", "change its name")
	}
	done, err := d.orgRename(ctx, c, asked)
	if err == nil && !asked.nothing() {
		done, err = d.siemUpdate(ctx, c, asked.labSIEMUpdate)
	}
	if err != nil {
		return none, err
	}
	d.settled(ctx, done.Position)
	profile, _ = d.Model.Profile(c.Organization)
	return d.withSIEM(ctx, c, labProfileOf(profile)), nil
}

// orgRename wants a name, unless something else is to be changed.
func (d *dialect) orgRename(ctx context.Context, c Caller, asked labOrgUpdate) (none projections.Outcome, err error) {
	if !asked.nothing() {
		if asked.Name != nil {
			return none, domain.Invalid("name", "can't be changed together with where events are sent", "change one after the other")
		}
		return none, nil
	}
	name, err := labText("name", asked.Name, "send the new name")
	if err != nil {
		return none, err
	}
	return d.Model.Execute(ctx, c.Meta(), domain.UpdateOrganization{Name: name})
}

// labMembers is the row of the view org_users, whose id is that of the organization.
type labMembers struct {
	ID    domain.Position `json:"id"`
	Users []labUser       `json:"users"`
	Roles []labRole       `json:"roles"`
}

type labUser struct {
	ID        domain.Position `json:"id"`
	Email     string          `json:"email"`
	FirstName *string         `json:"first_name"`
	LastName  *string         `json:"last_name"`
	RoleID    uint64          `json:"role_id"`
	IsOwner   bool            `json:"is_owner"`
}

type labRole struct {
	ID   uint64 `json:"id"`
	Name string `json:"name"`
}

// labRoleIDs are the numbers of the built-in roles. The console knows 3 for admin.
var labRoleIDs = map[domain.Role]uint64{domain.Auditor: 1, domain.Ordinary: 2, domain.Admin: 3, domain.Owner: 4}

// labRoleID is the number of a role. That of one that is not built in is 100 and more
// and follows from its name, so that it means the same role for ever, whichever roles
// come and go. It has 48 bits: browsers can hold it.
func labRoleID(name domain.Role) uint64 {
	if id, builtIn := labRoleIDs[name]; builtIn {
		return id
	}
	sum := sha256.Sum256([]byte(name))
	return 100 + binary.BigEndian.Uint64(sum[:])>>16
}

func (d *dialect) orgUsers(ctx context.Context, c Caller, _ labQuery) (iter.Seq2[labMembers, error], error) {
	row := labMembers{ID: c.Number, Users: []labUser{}}
	after := domain.Position(0)
	all := labPaged(func() ([]projections.MemberRow, error) {
		return d.Views.Members(ctx, c.Organization, projections.Page{After: after, Limit: labPage})
	}, func(m projections.MemberRow) { after = m.Number })
	for m, err := range all {
		if err != nil {
			return nil, err
		}
		row.Users = append(row.Users, labUser{ID: m.Number, Email: m.Email, RoleID: labRoleID(m.Role), IsOwner: m.Role == domain.Owner})
	}
	for _, r := range d.Model.Roles(c.Organization) {
		row.Roles = append(row.Roles, labRole{labRoleID(r.Name), string(r.Name)})
	}
	return labListed([]labMembers{row}), nil
}

// labOrgKey is a row of the view org_keys. A key is any administrative token; those that
// are offered are the ones made for engines. A secret is shown once, when it is made:
// what stands here is the part of it that is no secret, by which people find the one
// they have kept.
type labOrgKey struct {
	ID    domain.Position `json:"id"`
	OrgID domain.Position `json:"org_id"`
	Name  string          `json:"name"`
	Value string          `json:"value"`
}

// labKeyRoles are the roles of tokens that are made for engines.
var labKeyRoles = []domain.Role{"engine", "database-lab"}

func (d *dialect) orgKeys(ctx context.Context, c Caller, q labQuery) (iter.Seq2[labOrgKey, error], error) {
	f := projections.TokenFilter{Organization: c.Organization, Status: projections.Active, Now: domain.At(d.now()), Before: q.before}
	var rows []labOrgKey
	for token, err := range d.tokensDown(ctx, f) {
		if err != nil {
			return nil, err
		}
		if token.Kind == domain.Administrative && slices.Contains(labKeyRoles, token.Terms.Grant.Role) {
			rows = append(rows, labOrgKey{token.Number, c.Number, token.Name, secretBrand + "adm_" + token.ID.String() + "…"})
		}
	}
	return labListed(rows), nil
}

type labOrgCreate struct {
	labCaller
	Name          *string `json:"name"`
	Alias         *string `json:"alias"`
	OrgDomain     *string `json:"org_domain"`
	UsersAutojoin *bool   `json:"users_autojoin"`
}

// labOrgCreated is the new organization, and the first token of its owner, this once.
type labOrgCreated struct {
	labProfile
	Token string `json:"token"`
}

// orgCreate answers rpc/user_create_org. Only operators of the platform make
// organizations; who makes one owns it.
func (d *dialect) orgCreate(ctx context.Context, c Caller, asked labOrgCreate) (any, error) {
	if d.Model.AllowsOperator(c.Actor()) != nil {
		return nil, domain.Refuse(domain.ErrDenied, "only operators of the platform make organizations", "ask an operator")
	}
	name, err := labText("name", asked.Name, "give the organization a name")
	if err != nil {
		return nil, err
	}
	if orEmpty(asked.OrgDomain) != "" || asked.UsersAutojoin != nil && *asked.UsersAutojoin {
		return nil, domain.Invalid("users_autojoin", "is not possible here: nobody joins by themselves", "leave it out, and add members")
	}
	first, secret, err := newFirstToken()
	if err != nil {
		return nil, err
	}
	meta := aboveOrganizations(c.Meta())
	meta.Organization = domain.OrganizationID{ID: domain.RandomID()}
	done, err := d.Model.ExecuteDirectory(ctx, meta, domain.CreateOrganization{
		Organization: meta.Organization, Name: name, Alias: labAlias(orEmpty(asked.Alias), name), Account: domain.AccountID{ID: domain.RandomID()}, First: first,
	})
	if errors.Is(err, domain.ErrExists) {
		return nil, domain.Refuse(domain.ErrExists, "u_orgs_alias: the alias is taken", "choose another one")
	}
	if err != nil {
		return nil, err
	}
	d.settled(ctx, done.Position)
	profile, _ := d.Model.Profile(meta.Organization)
	return labOrgCreated{labProfileOf(profile), secret.Reveal()}, nil
}

// labAlias is an alias as the console's users expect one to be made of what they type.
func labAlias(alias, name string) string {
	if alias == "" {
		alias = name
	}
	return strings.Trim(strings.Join(strings.FieldsFunc(strings.ToLower(alias), func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9')
	}), "-"), "-")
}

type labMember struct {
	labCaller
	OrgID  labNumber `json:"org_id"`
	Email  *string   `json:"email"`
	UserID labNumber `json:"user_id"`
	RoleID *uint64   `json:"role_id"`
}

// labResult is the answer to what has nothing to show.
type labResult struct {
	Result string          `json:"result"`
	UserID domain.Position `json:"user_id"`
}

// orgInvite answers rpc/user_invite_org_user. The new member is an ordinary one. They
// get no token by it: there is no place for one in the answer.
func (d *dialect) orgInvite(ctx context.Context, c Caller, asked labMember) (any, error) {
	if err := asked.here(c); err != nil {
		return nil, err
	}
	email, err := labText("email", asked.Email, "send the e-mail of who is to come in")
	if err != nil {
		return nil, err
	}
	command := domain.AddMember{Account: domain.AccountID{ID: domain.RandomID()}, Role: domain.Ordinary}
	if _, err := d.Model.Try(c.Meta(), command); err != nil {
		return nil, err
	}
	if command.Account, err = d.Server.registered(ctx, c, email); err != nil {
		return nil, err
	}
	done, err := d.Model.Execute(ctx, c.Meta(), command)
	return d.memberDone(ctx, command.Account, done, err)
}

// here refuses what is about another organization than the caller's.
func (asked labMember) here(c Caller) error {
	if asked.OrgID == 0 {
		return domain.Invalid("org_id", "is missing", "send the number of your organization")
	}
	return labOwn(c, asked.OrgID)
}

func (d *dialect) memberDone(ctx context.Context, account domain.AccountID, done projections.Outcome, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	d.settled(ctx, done.Position)
	known, _ := d.Model.Account(account)
	return labResult{"ok", known.Number}, nil
}

// member is the member whom a call is about.
func (d *dialect) labMemberOf(c Caller, asked labMember) (domain.AccountID, error) {
	if err := asked.here(c); err != nil {
		return domain.AccountID{}, err
	}
	number, err := asked.UserID.needed("user_id", "member")
	if err != nil {
		return domain.AccountID{}, err
	}
	id, _, err := d.memberNumbered(c, subject("", number))
	return id, err
}

// orgUserUpdate answers rpc/user_update_org_user.
func (d *dialect) orgUserUpdate(ctx context.Context, c Caller, asked labMember) (any, error) {
	account, err := d.labMemberOf(c, asked)
	if err != nil {
		return nil, err
	}
	if asked.RoleID == nil {
		return nil, domain.Invalid("role_id", "is missing", "send the number of a role in org_users")
	}
	roles := d.Model.Roles(c.Organization)
	i := slices.IndexFunc(roles, func(r projections.Role) bool { return labRoleID(r.Name) == *asked.RoleID })
	if i < 0 {
		return nil, domain.Invalid("role_id", "is not the number of a role", "send one of those in org_users")
	}
	done, err := d.Model.Execute(ctx, c.Meta(), domain.UpdateMember{Account: account, Role: new(roles[i].Name)})
	return d.memberDone(ctx, account, done, err)
}

// orgUserDelete answers rpc/user_delete_org_user. Everybody may remove themselves.
func (d *dialect) orgUserDelete(ctx context.Context, c Caller, asked labMember) (any, error) {
	account, err := d.labMemberOf(c, asked)
	if err != nil {
		return nil, err
	}
	done, err := d.Model.Execute(ctx, c.Meta(), domain.RemoveMember{Account: account})
	return d.memberDone(ctx, account, done, err)
}
