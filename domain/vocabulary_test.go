package domain

import (
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden samples again")

// samples is one event of each kind with every field set, as it was stored. A
// sample is added to, never changed: somewhere it is on disk.
var samples = map[string]Event{
	"account.registered":   AccountRegistered{zoe, "Zoë@example.org"},
	"account.deleted":      AccountDeleted{zoe, "moved on"},
	"account.erased":       AccountErased{zoe, "asked for it"},
	"operator.named":       OperatorNamed{ann, acme},
	"operator.dismissed":   OperatorDismissed{ann},
	"organization.created": OrganizationCreated{acme, "acme", "Acme & Söhne"},
	"organization.renamed": OrganizationRenamed{`Acme "Works" <1>`},
	"organization.deleted": OrganizationDeleted{"merged with Globex"},
	"policy.changed": PolicyChanged{
		Off: true, BoundOnly: true, Networks: networks("10.0.0.0/8", "2001:db8::/32"), Idle: 90 * day,
		TokenLimit: Limit{600, 60}, HolderLimit: Limit{6000, 3600},
		Personal:       KindPolicy{Creators: []Role{Admin, Owner}, PerHolder: 3, Default: 30 * day, Longest: 90 * day, Latest: nextYear, Never: true},
		Administrative: KindPolicy{Longest: year},
		Service:        KindPolicy{Never: true},
		Description:    true,
		Approval:       Approval{Kinds: []TokenKind{Administrative, Service}, Grants: []string{"full-access", "admin", "tokens.revoke-any"}, Lapse: 3 * day},
		Overlap:        3600, Reuse: ReuseRevokes, UsedByDay: true,
	},
	"permission.defined": PermissionDefined{Definition{
		Name: "clones.create", Group: "clones", Write: true, Administrative: true, Resource: "engine", Description: "make clones",
	}},
	"permission.retired":  PermissionRetired{"clones.create"},
	"role.created":        RoleCreated{"cloner", "makes clones", []string{"clones.create", "tokens.check"}},
	"role.changed":        RoleChanged{"cloner", "reads", []string{"tokens.check"}},
	"role.deleted":        RoleDeleted{"cloner"},
	"member.added":        MemberAdded{bob, Admin},
	"member.role_changed": MemberRoleChanged{bob, Ordinary},
	"member.suspended":    MemberSuspended{mia, "on leave"},
	"member.reinstated":   MemberReinstated{mia},
	"member.removed":      MemberRemoved{mia, "left"},
	"holder.limited":      HolderLimited{mia, Limit{100, 60}},
	"service_account.created": ServiceAccountCreated{bot, "bot", "builds", Grant{
		Access: ByList, Permissions: []string{"engines.read"}, Resources: []Resource{"engine:*"},
	}},
	"service_account.renamed":   ServiceAccountRenamed{bot, "builder"},
	"service_account.described": ServiceAccountDescribed{bot, "builds and tests"},
	"service_account.granted":   ServiceAccountGranted{bot, Grant{Access: ByRole, Role: "ci"}},
	"service_account.switched":  ServiceAccountSwitched{bot, true},
	"service_account.deleted":   ServiceAccountDeleted{bot, "replaced"},
	"token.issued": TokenIssued{
		Token: robot, Type: Personal, Holder: mia, Name: "laptop", Description: "the gray one",
		Hash: hashOf("laptop"), Expires: nextYear + 1,
	},
	"token.bound": TokenBound{robot, Terms{
		Grant:    Grant{Access: ByList, Permissions: []string{"engines.read", "tokens.check"}, Resources: []Resource{"engine:prod"}},
		Networks: networks("192.0.2.7/32"), NotBefore: tomorrow, Limit: Limit{10, 60},
	}},
	"token.unbound":        TokenUnbound{robot},
	"token.renamed":        TokenRenamed{robot, "desktop"},
	"token.described":      TokenDescribed{robot, "the black one"},
	"token.expiry_changed": TokenExpiryChanged{robot, nextYear},
	"token.expiring":       TokenExpiring{robot, 7, nextYear},
	"token.rotated":        TokenRotated{robot, hashOf("second"), nextYear, tomorrow},
	"token.reused":         TokenReused{robot, hashOf("first")},
	"token.revoked":        TokenRevoked{robot, "leaked"},
	"tokens.revoked":       TokensRevoked{mia, Personal, today, robot, "leaked", 3},
	"token.burned":         TokenBurned{robot, "found in a log"},
	"token.overlap_ended":  OverlapEnded{robot, "found in a log"},
	"engine.registered":    EngineRegistered{"prod", robot},
	"engine.listed": EngineListed{7, Listing{
		Project: "shop", URL: "https://prod.example.org", Description: "of the shop",
		Permissions: []string{"clones.create"}, Resources: []Resource{"clone:*", "engine:prod"},
	}},
	"engine.door_set":       EngineDoorSet{7, Door{Name: "prod", PersonalTokens: true, Verification: hashOf("verification"), NoFallback: true, Open: true, Disabled: true}},
	"engine.switched":       EngineSwitched{7, true},
	"engine.deleted":        EngineDeleted{7, "replaced"},
	"engine.token_replaced": EngineTokenReplaced{7, laptop},
	"project.created":       ProjectCreated{"shop"},
	"record.kept": RecordKept{JoeMessage, 7, "shop", "m1", json.RawMessage(`{"text":"plan"}`), []Content{
		{Part: "plan", Object: "acme/1", Digest: hashOf("plan"), Size: 4, Media: "text/plain"},
	}},
	"record.amended": RecordAmended{8, json.RawMessage(`{"text":"plans"}`), []Content{
		{Part: "plan", Object: "acme/2", Digest: hashOf("plans"), Size: 5, Media: "text/plain"},
	}},
	"records.removed":    RecordsRemoved{[]Position{7, 8}, "old"},
	"approval.requested": ApprovalRequested{robot, tomorrow},
	"approval.given":     ApprovalGiven{robot, "for the pipeline"},
	"approval.refused":   ApprovalRefused{robot, "too much"},
	"approval.lapsed":    ApprovalLapsed{robot},
	"epoch.sealed":       EpochSealed{7, 41, hashOf("root"), 3, "jeton epoch\nepoch 7\n\n— log 1\n"},
	"signing_key.set":    SigningKeySet{2, "log+1+key", "jeton signing key\n\n— log 1\n"},
	"access.refused":     AccessRefused{"POST tokens/{id}/rotate", "revoked", "laptop", "the token was revoked", robot, 7},
	"audit.read":         AuditRead{"list", "after=7&limit=50", 7},
	"audit.exported":     AuditExported{"export", "format=jsonl"},
	"webhook.created": WebhookCreated{Announcement{
		"siem", "https://siem.example.org/in", SIEMWebhook, []string{"api_tokens", "orgs"}, []byte("sealed"),
	}},
	"webhook.changed":         WebhookChanged{7, Announcement{"all", "https://hooks.example.org/in", StandardWebhook, []string{"token.*"}, nil}},
	"webhook.switched":        WebhookSwitched{7, true, "the receiver says that it is gone"},
	"webhook.secret_replaced": WebhookSecretReplaced{7, tomorrow},
	"webhook.deleted":         WebhookDeleted{7},
}

func TestGoldenEvents(t *testing.T) {
	for kind, want := range samples {
		t.Run(kind, func(t *testing.T) {
			path := filepath.Join("testdata", "events", kind+".json")
			again, err := json.Marshal(want)
			if err != nil {
				t.Fatal(err)
			}
			if *update {
				if err := os.WriteFile(path, append(again, '\n'), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			stored, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got, err := ReadEvent(kind, stored)
			if err != nil {
				t.Fatal(err)
			}
			if diff := diffEvents(want, got); diff != "" {
				t.Errorf("%s is read otherwise (-want +got):\n%s", path, diff)
			}
			if got := string(again) + "\n"; got != string(stored) {
				t.Errorf("%s is written otherwise: %s", path, got)
			}
		})
	}
	files, err := os.ReadDir(filepath.Join("testdata", "events"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if _, known := samples[strings.TrimSuffix(file.Name(), ".json")]; !known {
			t.Errorf("%s is the sample of no event", file.Name())
		}
	}
}

// What is left out of a stored event is read as nothing.
func TestEventsLeaveOutWhatIsEmpty(t *testing.T) {
	token, account := `"token":"`+robot.String()+`"`, `"account":"`+mia.String()+`"`
	for _, c := range []struct {
		stored string
		event  Event
	}{
		{`{` + account + `}`, MemberSuspended{Account: mia}},
		{`{` + account + `}`, MemberRemoved{Account: mia}},
		{`{` + account + `}`, AccountDeleted{Account: mia}},
		{`{` + account + `}`, HolderLimited{Account: mia}},
		{`{` + account + `}`, ServiceAccountDeleted{Account: mia}},
		{`{` + account + `,"disabled":false}`, ServiceAccountSwitched{Account: mia}},
		{`{` + account + `,"name":"","grant":{}}`, ServiceAccountCreated{Account: mia}},
		{`{` + token + `}`, TokenRevoked{Token: robot}},
		{`{` + token + `}`, TokenBurned{Token: robot}},
		{`{` + token + `}`, OverlapEnded{Token: robot}},
		{`{` + token + `}`, TokenBound{Token: robot}},
		{`{` + token + `}`, TokenExpiryChanged{Token: robot}},
		{`{` + token + `,"reason":""}`, ApprovalRefused{Token: robot}},
		{`{` + token + `}`, ApprovalGiven{Token: robot}},
		{`{` + token + `,"description":""}`, TokenDescribed{Token: robot}},
		{`{` + token + `,"kind":"administrative","name":"robot","hash":"` + Hash{}.String() + `"}`, TokenIssued{
			Token: robot, Type: Administrative, Name: "robot",
		}},
		{`{` + token + `,"grant":{"access":"read-only"}}`, TokenBound{robot, Terms{Grant: Grant{Access: ReadOnly}}}},
		{`{"count":0}`, TokensRevoked{}},
		{`{}`, OrganizationDeleted{}},
		{`{"number":1,"verifier":"log+1+key"}`, SigningKeySet{Number: 1, Verifier: "log+1+key"}},
		{`{}`, EngineListed{}},
		{`{"door":{}}`, EngineDoorSet{}},
		{`{"engine":7}`, EngineDeleted{Engine: 7}},
		{`{"action":"POST check","code":"denied"}`, AccessRefused{Action: "POST check", Code: "denied"}},
		{`{"action":"list"}`, AuditRead{Action: "list"}},
		{`{"action":"export"}`, AuditExported{Action: "export"}},
		{`{"engine":7,"disabled":false}`, EngineSwitched{Engine: 7}},
		{`{"kind":"instance"}`, RecordKept{Type: LabInstance}},
		{`{"record":7}`, RecordAmended{Record: 7}},
		{`{"records":null}`, RecordsRemoved{}},
		{`{"name":"clones.create","group":"clones"}`, PermissionDefined{Definition{Name: "clones.create", Group: "clones"}}},
		{`{"name":"cloner","permissions":null}`, RoleCreated{Name: "cloner"}},
		{`{"overlap":0,"reuse":""}`, PolicyChanged{}},
		{`{"personal":{"per_holder":5,"never":true},"administrative":{"never":true},"service":{"never":true},"overlap":604800,"reuse":"report"}`, PolicyChanged(UsualPolicy())},
	} {
		stored, e := c.stored, c.event
		got, err := json.Marshal(e)
		if err != nil || string(got) != stored {
			t.Errorf("%s is %s, %v, want %s", e.Kind(), got, err, stored)
		}
		again, err := ReadEvent(e.Kind(), []byte(stored))
		if diff := diffEvents(e, again); err != nil || diff != "" {
			t.Errorf("%s is read otherwise, %v:\n%s", stored, err, diff)
		}
	}
}

// Every type of the package that has a Kind is in the vocabulary, and nothing else.
func TestVocabularyIsComplete(t *testing.T) {
	kinds := map[string]string{} // by type
	for name, file := range sources(t) {
		for _, declared := range file.Decls {
			if f, ok := declared.(*ast.FuncDecl); ok && f.Recv != nil && f.Name.Name == "Kind" {
				kinds[receiver(f)] = returned(t, name, f)
			}
		}
	}
	words := slices.Sorted(maps.Values(kinds))
	if diff := cmp.Diff(words, slices.Sorted(maps.Keys(vocabulary))); diff != "" {
		t.Errorf("vocabulary (-declared +known):\n%s", diff)
	}
	if diff := cmp.Diff(words, slices.Sorted(maps.Keys(samples))); diff != "" {
		t.Errorf("samples (-declared +known):\n%s", diff)
	}
	if again := slices.Compact(slices.Clone(words)); len(again) != len(words) {
		t.Errorf("two events are of one kind: %v", words)
	}
	pattern := regexp.MustCompile(`^[a-z]+(_[a-z]+)*\.[a-z_]*(ed|bound|given|kept|set|read)$`)
	for event, kind := range kinds {
		// What is to come is no past, and is what the holder has to know.
		if !pattern.MatchString(kind) && kind != "token.expiring" {
			t.Errorf("%s is stored as %q, want noun.past", event, kind)
		}
		read, known := samples[kind]
		if !known || strings.TrimPrefix(typeName(read), "domain.") != event || read.Kind() != kind {
			t.Errorf("%s is stored as %q, and its sample is a %T", event, kind, read)
		}
		empty, err := ReadEvent(kind, []byte("{}"))
		if err != nil || typeName(empty) != typeName(read) {
			t.Errorf("%s is read as a %T, %v", kind, empty, err)
		}
		if _, ok := read.(OrganizationEvent); !ok {
			if _, ok := read.(DirectoryEvent); !ok {
				t.Errorf("%s changes neither an organization nor the directory", event)
			}
		}
	}
}

func TestUnknownEventsStopTheReader(t *testing.T) {
	for _, kind := range []string{"", "token", "token.forgotten", "Token.issued", "token.issued ", strings.Repeat("a", 10_000)} {
		e, err := ReadEvent(kind, []byte("{}"))
		if err == nil || e != nil || !strings.Contains(err.Error(), "newer version") || len(err.Error()) > 200 {
			t.Errorf("%.20q is read as %v, %v", kind, e, err)
		}
	}
	for kind, stored := range map[string]string{
		"token.revoked":        ``,
		"token.renamed":        `{`,
		"token.described":      `[]`,
		"token.issued":         `{"kind":"robot"}`,
		"member.added":         `{"role":1}`,
		"member.role_changed":  `{"role":["owner"]}`,
		"member.removed":       `{"account":"1"}`,
		"organization.renamed": `{"name":1}`,
		"organization.created": `{"organization":null,"alias":{}}`,
		"account.registered":   `"zoe"`,
		"record.kept":          `{"kind":"riddle"}`,
		"engine.door_set":      `{"door":{"verification":"1"}}`,
	} {
		if e, err := ReadEvent(kind, []byte(stored)); err == nil || e != nil || !strings.Contains(err.Error(), kind) {
			t.Errorf("%s %s is read as %v, %v", kind, stored, e, err)
		}
	}
}

// Only the standard library, and of it nothing that Decide could read behind its
// arguments' back: no files, no network, no log, no context, no clock, no dice.
func TestImports(t *testing.T) {
	refused := []string{"os", "io/fs", "net", "net/http", "log", "log/slog", "context", "math/rand", "math/rand/v2", "sync", "unsafe", "reflect", "database/sql", "runtime", "syscall"}
	for name, file := range sources(t) {
		for _, spec := range file.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			first, _, _ := strings.Cut(path, "/")
			if strings.Contains(first, ".") || first == "jeton" || first == "C" {
				t.Errorf("%s imports %s: the domain imports the standard library only", name, path)
			}
			if slices.Contains(refused, path) {
				t.Errorf("%s imports %s: Decide, Evolve and Check read nothing but their arguments", name, path)
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			s, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			from, ok := s.X.(*ast.Ident)
			if ok && from.Name == "time" && slices.Contains([]string{"Now", "Since", "Until", "Sleep", "After", "Tick", "NewTimer", "Local"}, s.Sel.Name) {
				t.Errorf("%s asks the clock: time.%s", name, s.Sel.Name)
			}
			return true
		})
	}
}

// sources are the files of the package that are no tests.
func sources(t *testing.T) map[string]*ast.File {
	t.Helper()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]*ast.File{}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		if files[name], err = parser.ParseFile(gotoken.NewFileSet(), name, nil, parser.SkipObjectResolution); err != nil {
			t.Fatal(err)
		}
	}
	if len(files) == 0 {
		t.Fatal("no sources")
	}
	return files
}

func receiver(f *ast.FuncDecl) string {
	of := f.Recv.List[0].Type
	if star, ok := of.(*ast.StarExpr); ok {
		of = star.X
	}
	return of.(*ast.Ident).Name
}

// returned is the text that a Kind method consists of.
func returned(t *testing.T, file string, f *ast.FuncDecl) string {
	t.Helper()
	if len(f.Body.List) == 1 {
		if r, ok := f.Body.List[0].(*ast.ReturnStmt); ok && len(r.Results) == 1 {
			if text, ok := r.Results[0].(*ast.BasicLit); ok {
				kind, err := strconv.Unquote(text.Value)
				if err == nil {
					return kind
				}
			}
		}
	}
	t.Fatalf("%s: %s.Kind does more than to return a text", file, receiver(f))
	return ""
}

func typeName(e Event) string { return fmt.Sprintf("%T", e) }
