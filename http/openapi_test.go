package http

import (
	"bytes"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
)

func document(t *testing.T, w *world) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData([]byte(w.send("", "GET /api/openapi.json", "").body))
	w.must(err)
	if err := doc.Validate(t.Context(), openapi3.IsOpenAPI31OrLater()); err != nil {
		t.Fatalf("the OpenAPI document is not valid: %v", err)
	}
	return doc
}

// Every typed route is in the document, with what a client needs to know.
func TestOpenAPI(t *testing.T) {
	w := newWorld(t)
	doc := document(t, w)
	if doc.OpenAPI != "3.1.0" {
		t.Errorf("it is OpenAPI %s", doc.OpenAPI)
	}
	described := 0
	for _, r := range ours(w) {
		if !strings.HasPrefix(r.path(), "/api/v1/") {
			continue
		}
		item := doc.Paths.Value(r.path())
		if item == nil || item.GetOperation(r.method()) == nil {
			t.Errorf("%s is not described", r.pattern)
			continue
		}
		op := item.GetOperation(r.method())
		described++
		if op.Summary == "" || op.OperationID == "" || (op.Security == nil) != (r.access.who == anybody) {
			t.Errorf("%s: summary %q, id %q, security %v", r.pattern, op.Summary, op.OperationID, op.Security)
		}
		if failed := op.Responses.Default(); failed == nil || failed.Value.Content["application/problem+json"] == nil {
			t.Errorf("%s: its errors are not described", r.pattern)
		}
		if op.RequestBody != nil && (len(op.RequestBody.Value.Content) != 1 || op.RequestBody.Value.Content["application/json"] == nil) {
			t.Errorf("%s takes something else than JSON", r.pattern)
		}
		for _, parameter := range op.Parameters {
			if parameter.Value.Description == "" {
				t.Errorf("%s: nobody says what %s is", r.pattern, parameter.Value.Name)
			}
		}
	}
	if all := len(doc.Paths.Map()); described == 0 || all == 0 {
		t.Errorf("%d operations on %d paths", described, all)
	}
	for name, schema := range doc.Components.Schemas {
		for property, value := range schema.Value.Properties {
			if value.Value != nil && value.Ref == "" && value.Value.Description == "" {
				t.Errorf("nobody says what %s.%s is", name, property)
			}
		}
	}
}

// What is answered is what the document says: status, headers, every field.
func TestAnswersAreAsDescribed(t *testing.T) {
	w := furnish(newWorld(t))
	w.seal()
	doc := document(t, w)
	router, err := legacy.NewRouter(doc, openapi3.IsOpenAPI31OrLater())
	w.must(err)
	w.made("ann", "POST /api/v1/operators", `{"email":"mia@acme.test"}`)
	w.stopping()
	routes := guarded(w)
	slices.SortStableFunc(routes, func(a, b route) int { // what ends things comes last, tokens before members
		return order(a) - order(b)
	})
	for _, r := range routes {
		send, body := r.request("acme", "{mia}", "{mia.token}")
		if r.access.who == anEngine {
			conforms(t, w, router, w.request("prod", send, body))
		}
		conforms(t, w, router, w.request("ann", send, body))
		conforms(t, w, router, w.request("", send, body))
		conforms(t, w, router, w.request("ada", send, body))
		conforms(t, w, router, w.request("zed", send, body))
	}
}

func order(r route) int {
	switch {
	case r.method() != "DELETE":
		return 0
	case strings.Contains(r.path(), "/tokens/"):
		return 1
	}
	return 2
}

// conforms holds a request and its answer against the document.
func conforms(t *testing.T, w *world, router routers.Router, r *http.Request) {
	t.Helper()
	body, err := io.ReadAll(r.Body)
	w.must(err)
	r.Body = io.NopCloser(bytes.NewReader(body))
	if len(body) > 0 && r.Header.Get("Content-Type") == "" {
		r.Header.Set("Content-Type", "application/json")
	}
	answered := w.do(r)
	r.Body = io.NopCloser(bytes.NewReader(body))
	found, params, err := router.FindRoute(r)
	if err != nil {
		t.Errorf("%s %s: %v", r.Method, r.URL, err)
		return
	}
	input := &openapi3filter.RequestValidationInput{
		Request: r, PathParams: params, Route: found,
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true},
	}
	if err := openapi3filter.ValidateRequest(t.Context(), input); err != nil {
		t.Errorf("%s %s: a good request is not as described: %v", r.Method, r.URL, err)
	}
	err = openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: answered.status, Header: answered.header,
		Body: io.NopCloser(strings.NewReader(answered.body)), Options: input.Options,
	})
	if err != nil {
		t.Errorf("%s %s: the answer %d is not as described: %v\n%s", r.Method, r.URL, answered.status, err, answered.body)
	}
}
