package http

import (
	"net/http"
	"reflect"

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
		Formats:                      map[string]huma.Format{"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat},
		DefaultFormat:                "application/json",
		RejectUnknownQueryParameters: true,
	}
}

// openapi serves the description of all typed routes.
func openapi(m *mounter, r route) {
	raw(func(w http.ResponseWriter, _ *http.Request, _ Caller) error {
		return encode(w, m.api.OpenAPI())
	})(m, r)
}

// described mounts a raw handler and describes it by the types of its bodies.
func described[In, Out any](handle func(http.ResponseWriter, *http.Request, Caller) error) func(*mounter, route) {
	return func(m *mounter, r route) {
		raw(handle)(m, r)
		op := m.operation(r)
		schemas := m.api.OpenAPI().Components.Schemas
		op.RequestBody = &huma.RequestBody{Required: true, Content: jsonContent[In](schemas)}
		op.Responses = map[string]*huma.Response{
			"200":     {Description: "OK", Content: jsonContent[Out](schemas)},
			"default": {Description: "Error", Content: problemContent(schemas)},
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
		return "any live token"
	case operator:
		return "operators"
	case inside:
		return "members of the organization with " + a.needs.String()
	}
	return "nobody"
}
