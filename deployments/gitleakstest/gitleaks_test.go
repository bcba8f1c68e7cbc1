package gitleakstest

import (
	"context"
	"encoding/base64"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/spf13/viper"
	"github.com/zricethezav/gitleaks/v8/config"
	"github.com/zricethezav/gitleaks/v8/detect"

	"jeton/domain"
)

const rule = "jeton-token"

// kinds are all that have a name: one that is new must be found too.
func kinds() (all []domain.TokenKind) {
	for kind := domain.Personal; kind.String() != ""; kind++ {
		all = append(all, kind)
	}
	return all
}

// published reads the file once: gitleaks extends a configuration by its own rules
// only the first time in a process.
var published = sync.OnceValues(func() (config.Config, error) {
	var file config.ViperConfig
	v := viper.New()
	v.SetConfigFile("../gitleaks.toml")
	if err := v.ReadInConfig(); err != nil {
		return config.Config{}, err
	}
	if err := v.Unmarshal(&file); err != nil {
		return config.Config{}, err
	}
	return file.Translate()
})

// detector scans as the command does.
func detector(t *testing.T) *detect.Detector {
	t.Helper()
	c, err := published()
	if err != nil {
		t.Fatal(err)
	}
	d := detect.NewDetector(c)
	d.MaxDecodeDepth = 5
	return d
}

// minted is a secret that is the same in every run.
func minted(t *testing.T, kind domain.TokenKind, seed byte) string {
	t.Helper()
	random := rand.NewChaCha8([32]byte{seed})
	id, err := domain.NewID(random)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := domain.NewSecret(kind, domain.TokenID{ID: id}, random)
	if err != nil {
		t.Fatal(err)
	}
	return secret.Reveal()
}

// ours are the secrets that our rule finds in a file, each once: gitleaks finds
// some twice, as they stand and decoded. Its own rules may find them too.
func ours(d *detect.Detector, path, text string) (secrets []string) {
	for _, found := range d.Detect(detect.Fragment{Raw: text, FilePath: path}) {
		if found.RuleID == rule {
			secrets = append(secrets, found.Secret)
		}
	}
	slices.Sort(secrets)
	return slices.Compact(secrets)
}

// places are where secrets have leaked; $ is the secret.
var places = map[string]struct{ path, text string }{
	"alone":                    {"token", "$"},
	"at a line's begin":        {"notes.txt", "the token:\n$ is mine\n"},
	"at a line's end":          {"notes.txt", "mine is $\nkeep it\n"},
	"at a Windows line's end":  {"notes.txt", "mine is $\r\nkeep it\r\n"},
	"env":                      {".env", "JETON_URL=https://jeton.acme.test\nJETON_TOKEN=$\n"},
	"env, quoted":              {".env", "export JETON_TOKEN=\"$\"\n"},
	"YAML":                     {"values.yaml", "jeton:\n  token: $\n  url: https://jeton.acme.test\n"},
	"YAML, quoted":             {"values.yaml", "jeton: {token: '$'}\n"},
	"JSON":                     {"config.json", `{"token":"$","url":"https://jeton.acme.test"}`},
	"JSON in JSON":             {"config.json", `{"config":"{\"token\":\"$\"}"}`},
	"a line inside JSON":       {"event.json", `{"text":"the token:\n$\nis mine"}`},
	"TOML":                     {"config.toml", "token = \"$\"\n"},
	"INI":                      {"config.ini", "token = $ ; of the engine\n"},
	"XML":                      {"settings.xml", "<token>$</token>"},
	"Go":                       {"main.go", "const token = \"$\"\n"},
	"Go, raw":                  {"main.go", "const token = `$`\n"},
	"a comment":                {"main.go", "// try it with $.\n"},
	"shell":                    {"run.sh", "JETON_TOKEN=$ jeton whoami\n"},
	"an argument":              {"run.sh", "jeton check --token=$; echo done\n"},
	"curl":                     {"run.sh", "curl -H \"Authorization: Bearer $\" https://jeton.acme.test/api/v1/whoami\n"},
	"a header":                 {"session.http", "GET /api/v1/whoami HTTP/1.1\r\nAuthorization: Bearer $\r\n\r\n"},
	"a URL's query":            {"access.log", "GET /check?token=$&permission=x HTTP/1.1\n"},
	"a URL's password":         {"remote.txt", "https://ci:$@jeton.acme.test/\n"},
	"a URL's fragment":         {"link.txt", "https://jeton.acme.test/#$\n"},
	"behind %20":               {"access.log", "GET /?authorization=Bearer%20$%0A HTTP/1.1\n"},
	"a diff":                   {"change.diff", "--- a/.env\n+++ b/.env\n+$\n"},
	"Markdown":                 {"README.md", "Use `$` for now.\n"},
	"a table":                  {"README.md", "|token|\n|-|\n|$|\n"},
	"CSV":                      {"tokens.csv", "name,token\nci,$\n"},
	"in the middle of letters": {"dump.txt", "xxx$"},
}

func TestFindsEverySecret(t *testing.T) {
	d := detector(t)
	secrets := map[string]string{"verification": verification(t)}
	for _, kind := range kinds() {
		secrets[kind.String()] = minted(t, kind, byte(kind))
	}
	for kind, secret := range secrets {
		for name, place := range places {
			wantOnly(t, kind+", "+name, secret, ours(d, place.path, strings.ReplaceAll(place.text, "$", secret)))
		}
	}
}

// verification is the verification token of an engine, the same in every run.
func verification(t *testing.T) string {
	t.Helper()
	secret, err := domain.NewVerification(rand.NewChaCha8([32]byte{9}))
	if err != nil {
		t.Fatal(err)
	}
	return secret.Reveal()
}

// wantOnly wants the secret to be found whole, and nothing else.
func wantOnly(t *testing.T, where, secret string, got []string) {
	t.Helper()
	if len(got) != 1 || got[0] != secret {
		t.Errorf("%s: found %q, want %q", where, got, secret)
	}
}

// No secret is so plain that the rule takes it for a placeholder.
func TestFindsManySecrets(t *testing.T) {
	d := detector(t)
	var text strings.Builder
	for seed := range 250 {
		text.WriteString(minted(t, domain.Personal, byte(seed)) + "\n")
	}
	if got := ours(d, "tokens.txt", text.String()); len(got) != 250 {
		t.Errorf("found %d of 250", len(got))
	}
}

// Kubernetes writes what it keeps in base64.
func TestFindsEncodedSecrets(t *testing.T) {
	d, secret := detector(t), minted(t, domain.Administrative, 2)
	encoded := base64.StdEncoding.EncodeToString([]byte(secret))
	wantOnly(t, "base64", secret, ours(d, "secret.yaml", "kind: Secret\ndata:\n  token: "+encoded+"\n"))
}

func TestFindsNoNearMisses(t *testing.T) {
	d, secret := detector(t), minted(t, domain.Personal, 3)
	const handle, proper = len("jtn_pat_"), len("jtn_pat_") + 16
	for name, text := range map[string]string{
		"a character less":        secret[:len(secret)-1],
		"a character more":        secret + "0",
		"two in one word":         secret + secret[4:],
		"the handle":              secret[:proper],
		"the handle and dots":     secret[:proper] + "…",
		"a hole":                  secret[:40] + secret[41:],
		"a line break":            secret[:40] + "\n" + secret[40:],
		"a blank":                 secret[:40] + " " + secret[41:],
		"a minus":                 secret[:40] + "-" + secret[41:],
		"an underscore":           secret[:40] + "_" + secret[41:],
		"a wide character":        secret[:40] + "é" + secret[41:],
		"an i in the handle":      secret[:handle] + "i" + secret[handle+1:],
		"an l in the handle":      secret[:handle] + "l" + secret[handle+1:],
		"an o in the handle":      secret[:handle] + "o" + secret[handle+1:],
		"a u in the handle":       secret[:handle] + "u" + secret[handle+1:],
		"capitals in the handle":  secret[:handle] + strings.ToUpper(secret[handle:proper]) + secret[proper:],
		"another brand":           "jtx_" + secret[4:],
		"a brand in capitals":     "JTN_" + secret[4:],
		"another kind":            "jtn_key" + secret[7:],
		"a kind in capitals":      "jtn_PAT" + secret[7:],
		"no kind":                 "jtn_" + secret[8:],
		"minuses for underscores": "jtn-pat-" + secret[8:],
		"the hash":                domain.Hash([32]byte{1}).String(),
	} {
		if got := ours(d, "notes.txt", "mine is "+text+" for now\n"); got != nil {
			t.Errorf("%s: found %q", name, got)
		}
	}
}

func TestFindsNoPlaceholders(t *testing.T) {
	d := detector(t)
	for _, text := range []string{
		"jtn_pat_…", "jtn_adm_…", "jtn_svc_...", "jtn_ver_…", "jtn_pat_<16><36><6>", "jtn_pat_{id}", "$JETON_TOKEN", "${JETON_TOKEN}", "<token>", "[redacted]",
		"jtn_pat_" + strings.Repeat("x", 58), "jtn_adm_" + strings.Repeat("0", 58), "jtn_svc_" + strings.Repeat("x", 16) + strings.Repeat("X", 42),
		"jtn_pat_" + strings.Repeat("0123456789", 6)[:58], "jtn_pat_0123456789abcdef" + strings.Repeat("SECRET", 7), "jtn_pat_" + strings.Repeat("example0", 8)[:58],
	} {
		for name, place := range places {
			if got := ours(d, place.path, strings.ReplaceAll(place.text, "$", text)); got != nil {
				t.Errorf("%s: took %s for a secret", name, text)
			}
		}
	}
}

// No rule, of ours or of gitleaks, finds anything in what we publish.
func TestFindsNothingOfOurs(t *testing.T) {
	d := detector(t)
	for _, path := range tracked(t) {
		text, err := os.ReadFile(filepath.Join(root, path))
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted, and not committed yet
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range d.Detect(detect.Fragment{Raw: string(text), FilePath: path}) {
			t.Errorf("%s:%d: %s", path, found.StartLine+1, found.RuleID)
		}
	}
}

const root = "../.."

// tracked are the files that we publish: those of the repository or, where the
// source was unpacked without one, all there are.
func tracked(t *testing.T) []string {
	t.Helper()
	files := unpacked
	if _, err := os.Stat(filepath.Join(root, ".git")); err == nil {
		files = committed
	}
	all, err := files(t.Context())
	if err != nil || len(all) < 100 {
		t.Fatalf("there are %d files: %v", len(all), err)
	}
	return all
}

func committed(ctx context.Context) ([]string, error) {
	list, err := exec.CommandContext(ctx, "git", "-C", root, "ls-files", "-z").Output()
	return strings.Split(strings.TrimSuffix(string(list), "\x00"), "\x00"), err
}

func unpacked(context.Context) (files []string, err error) {
	err = fs.WalkDir(os.DirFS(root), ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			files = append(files, path)
		}
		return err
	})
	return files, err
}

// The file is ours and theirs: it adds a rule and leaves out none.
func TestExtendsTheRulesOfGitleaks(t *testing.T) {
	d := detector(t)
	if r, there := d.Config.Rules[rule]; !there || r.Description == "" || len(d.Config.Rules) < 200 {
		t.Errorf("%d rules, ours %+v", len(d.Config.Rules), r)
	}
}
