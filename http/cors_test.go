package http

import (
	"net/http"
	"strings"
	"testing"
)

// Pages of the origins that are named may ask and read, with credentials; of others
// nothing is said.
func TestCrossOrigin(t *testing.T) {
	l := newLab(t)
	const evil = "https://console.acme.test.evil.test"
	preflight := []string{"Access-Control-Request-Method: POST", "Access-Control-Request-Headers: access-token,content-type"}
	for name, c := range map[string]struct {
		request, origin string
		headers         []string
		status          int
		allows          string
	}{
		"a page that may":            {"GET projects", labPages, []string{as("ann")}, 200, labPages},
		"an error for it":            {"GET projects", labPages, nil, 401, labPages},
		"a function for it":          {"POST rpc/checkup_report_delete", labPages, []string{as("mia")}, 403, labPages},
		"a page that may not":        {"GET projects", evil, []string{as("ann")}, 200, ""},
		"another scheme":             {"GET projects", "http://console.acme.test", []string{as("ann")}, 200, ""},
		"another port":               {"GET projects", labPages + ":8443", []string{as("ann")}, 200, ""},
		"null":                       {"GET projects", "null", []string{as("ann")}, 200, ""},
		"no page":                    {"GET projects", "", []string{as("ann")}, 200, ""},
		"before it sends":            {"OPTIONS rpc/api_token_create", labPages, preflight, 204, labPages},
		"before it reads":            {"OPTIONS audit_log", labPages, preflight, 204, labPages},
		"before one that may not":    {"OPTIONS rpc/api_token_create", evil, preflight, 405, ""},
		"no preflight":               {"OPTIONS rpc/api_token_create", labPages, nil, 405, labPages},
		"no preflight, no page":      {"OPTIONS rpc/api_token_create", "", preflight, 405, ""},
		"images for any page":        {"GET dblab_se_images?package_group=eq.x", "https://engine.example.org:2346", []string{"Verification-Token: shared"}, 200, "*"},
		"before it asks for images":  {"OPTIONS dblab_se_images", "https://engine.example.org:2346", preflight, 204, "*"},
		"images for a page that may": {"GET dblab_se_images", labPages, nil, 200, labPages},
	} {
		t.Run(name, func(t *testing.T) {
			headers := c.headers
			if c.origin != "" {
				headers = append(headers[:len(headers):len(headers)], "Origin: "+c.origin)
			}
			got := l.send(c.request, "{}", headers...)
			if got.status != c.status || got.header.Get("Access-Control-Allow-Origin") != c.allows {
				t.Errorf("got %d %v, want %d %q", got.status, got.header, c.status, c.allows)
			}
			if credentials := got.header.Get("Access-Control-Allow-Credentials"); (credentials == "true") != (c.allows == labPages) {
				t.Errorf("credentials: %q", credentials)
			}
			if c.allows == labPages && !strings.Contains(strings.Join(got.header["Access-Control-Expose-Headers"], ","), "Content-Range") {
				t.Errorf("it can't read Content-Range: %v", got.header)
			}
			if got.header.Get("Vary") != "Origin" {
				t.Errorf("a cache would mix origins up: %v", got.header)
			}
			if c.status == 204 {
				for name, want := range map[string]string{"Access-Control-Allow-Methods": "PATCH", "Access-Control-Allow-Headers": "Verification-Token"} {
					if !strings.Contains(got.header.Get(name), want) {
						t.Errorf("%s: %q lacks %s", name, got.header.Get(name), want)
					}
				}
			}
		})
	}
}

// Where no origin is named nothing is said to any, but about images.
func TestCrossOriginOfNobody(t *testing.T) {
	w := newWorld(t)
	for _, send := range []string{"GET /api/general/projects", "OPTIONS /api/general/projects", "OPTIONS /api/v1/whoami", "GET /api/v1/whoami"} {
		got := w.send("ann", send, "", "Origin: https://console.acme.test", "Access-Control-Request-Method: GET")
		for name := range got.header {
			if strings.HasPrefix(name, "Access-Control-") {
				t.Errorf("%s: %s", send, name)
			}
		}
	}
	if got := w.send("", "GET /api/general/dblab_se_images", ""); got.status != http.StatusOK || got.header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("images: %d %v", got.status, got.header)
	}
}
