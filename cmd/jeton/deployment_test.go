package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// The examples of how a gate is deployed name flags and variables that there are.
func TestGateDeployments(t *testing.T) {
	unit, err := os.ReadFile("../../deployments/gate.service")
	if err != nil {
		t.Fatal(err)
	}
	start := regexp.MustCompile(`(?m)^ExecStart=.*$`).FindString(string(unit))
	if err := accepts(start); start == "" || err != nil {
		t.Errorf("gate.service: %q: %v", start, err)
	}
	data, err := os.ReadFile("../../deployments/gate.compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var compose struct {
		Services struct {
			Gate struct {
				Command     []string
				Environment map[string]string
			}
		}
	}
	if err := yaml.Unmarshal(data, &compose); err != nil {
		t.Fatal(err)
	}
	gate := compose.Services.Gate
	if err := accepts("jeton " + strings.Join(gate.Command, " ")); err != nil || len(gate.Environment) == 0 {
		t.Errorf("gate.compose.yaml: %v: %v", gate.Command, err)
	}
	c := gateDefaults()
	for name, text := range gate.Environment {
		i := slices.IndexFunc(c.settings(), func(s setting) bool { return s.variable() == name })
		if i < 0 {
			t.Errorf("gate.compose.yaml: there is no variable %s", name)
		} else if err := c.settings()[i].value.Set(text); err != nil && !strings.Contains(text, "$") {
			t.Errorf("gate.compose.yaml: %s: %v", name, err)
		}
	}
}
