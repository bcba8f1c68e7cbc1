package http

import (
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"regexp"
	"sync"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
)

// apiConfig is huma with what we want of it: JSON only, unknown query parameters
// refused, no pages of its own.
func apiConfig(version string) huma.Config {
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title: "Jeton", Version: version,
				Description: "Issues, checks, revokes and looks back at the access tokens of many organizations.",
			},
			Components: &huma.Components{
				Schemas:         huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer),
				SecuritySchemes: map[string]*huma.SecurityScheme{"token": {Type: "http", Scheme: "bearer"}},
			},
		},
		Formats:                      map[string]huma.Format{"application/json": jsonFormat, "json": jsonFormat},
		DefaultFormat:                "application/json",
		RejectUnknownQueryParameters: true,
	}
}

// jsonFormat is JSON in UTF-8. What is wrong with a body is said without
// repeating any of it.
var jsonFormat = huma.Format{
	Marshal: huma.DefaultJSONFormat.Marshal,
	Unmarshal: func(data []byte, v any) error {
		if !utf8.Valid(data) {
			return errors.New("is not UTF-8")
		}
		if wholeSecret.Match(data) && wholeSecret.Match(verificationSent.ReplaceAll(data, nil)) {
			return errors.New("has the secret of a token in it, where none belongs; revoke that token")
		}
		if json.Unmarshal(data, v) != nil {
			return errors.New("is not the JSON that belongs here")
		}
		return nil
	},
}

// wholeSecret finds secrets that would be stored as somebody's name. No typed
// route wants one; see domain.Secret.
var wholeSecret = regexp.MustCompile(secretBrand + `[a-z]{3}_[0-9a-z]{16}[0-9A-Za-z]{42}`)

// verificationSent is a verification token that was drawn here and is sent where one
// belongs.
var verificationSent = regexp.MustCompile(`"verification_token"\s*:\s*"` + secretBrand + `ver_[0-9a-z]{16}[0-9A-Za-z]{42}"`)

// openapi serves the description of all typed routes.
func openapi(m *mounter, r route) {
	document := sync.OnceValues(func() ([]byte, error) { return json.Marshal(tidied(m.api.OpenAPI())) })
	raw(func(w http.ResponseWriter, _ *http.Request, _ Caller) error {
		text, err := document()
		if err != nil {
			return err
		}
		w.Header()["Content-Type"] = jsonType
		_, _ = w.Write(text) // the caller has gone if it fails
		return nil
	})(m, r)
}

// tidied takes out what huma says about bodies whose raw bytes are wanted as
// well: they are JSON and nothing else.
func tidied(document *huma.OpenAPI) *huma.OpenAPI {
	for _, path := range document.Paths {
		for _, op := range []*huma.Operation{path.Get, path.Post, path.Patch, path.Delete} {
			if op != nil && op.RequestBody != nil {
				delete(op.RequestBody.Content, "application/octet-stream")
			}
		}
	}
	return document
}

// described mounts a raw handler and describes it by the types of its bodies.
func described[In, Out any](handle func(http.ResponseWriter, *http.Request, Caller) error) func(*mounter, route) {
	return func(m *mounter, r route) {
		raw(handle)(m, r)
		op := m.operation(r)
		schemas := m.api.OpenAPI().Components.Schemas
		op.RequestBody = &huma.RequestBody{Required: true, Content: jsonContent[In](schemas)}
		op.Responses = map[string]*huma.Response{"default": {Description: "Error", Content: problemContent(schemas)}}
		if r.status == http.StatusNoContent {
			op.Responses["204"] = &huma.Response{Description: "No Content"}
		} else {
			op.Responses["200"] = &huma.Response{Description: "OK", Content: jsonContent[Out](schemas)}
		}
		m.api.OpenAPI().AddOperation(&op)
	}
}

func jsonContent[T any](schemas huma.Registry) map[string]*huma.MediaType {
	return map[string]*huma.MediaType{"application/json": {Schema: schemas.Schema(reflect.TypeFor[T](), true, "")}}
}

func problemContent(schemas huma.Registry) map[string]*huma.MediaType {
	return map[string]*huma.MediaType{"application/problem+json": {Schema: schemas.Schema(reflect.TypeFor[Problem](), true, "")}}
}

// String names who may call, for the OpenAPI document and the role test.
func (a access) String() string {
	switch a.who {
	case anybody:
		return "anybody"
	case bearer:
		if len(a.needs) > 0 {
			return "any live token with " + a.permissions()
		}
		return "any live token"
	case operator:
		return "operators"
	case anEngine:
		return "engines with " + a.permissions()
	case inside:
		if len(a.needs) == 0 {
			return "everybody in the organization"
		}
		return "whoever in the organization has " + a.permissions()
	}
	return "nobody"
}
