package main

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// engineFile is the configuration of a Database Lab Engine, as far as a gate in front
// of it reads it: server.yml as the engine itself reads it. All other keys are the
// engine's own, platform.orgKey and platform.projectName among them.
type engineFile struct {
	Server struct {
		VerificationToken string `yaml:"verificationToken"`
	} `yaml:"server"`
	Platform struct {
		URL            string `yaml:"url"`
		AccessToken    string `yaml:"accessToken"`
		PersonalTokens bool   `yaml:"enablePersonalTokens"`
	} `yaml:"platform"`
}

var yamlLine = regexp.MustCompile(`line \d+`)

// parseEngineFile reads such a file. What is wrong in it is not repeated: it may be a
// secret.
func parseEngineFile(data []byte, env func(string) (string, bool)) (f engineFile, err error) {
	if err := yaml.Unmarshal(data, &f); err != nil {
		return f, fmt.Errorf("is no configuration of a Database Lab Engine: %s can't be read", first(yamlLine.FindString(err.Error()), "it"))
	}
	for _, secret := range []struct {
		key string
		at  *string
	}{{"server.verificationToken", &f.Server.VerificationToken}, {"platform.accessToken", &f.Platform.AccessToken}} {
		if *secret.at, err = expand(*secret.at, env); err != nil {
			return f, fmt.Errorf("%s: %w", secret.key, err)
		}
	}
	return f, nil
}

// expand puts variables of the environment in the place of $NAME and ${NAME}, wherever
// they stand, as the engine does. One that is set and empty is empty; one that is not
// set is an error.
func expand(text string, env func(string) (string, bool)) (string, error) {
	var missing error
	expanded := os.Expand(text, func(name string) string {
		value, set := env(name)
		if !set && missing == nil {
			missing = missingVariable(name)
		}
		return value
	})
	if missing != nil {
		return "", missing
	}
	return expanded, nil
}

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// missingVariable says which variable is not set. What is no name of one may be a
// piece of a secret with a $ in it.
func missingVariable(name string) error {
	if !variableName.MatchString(name) {
		return errors.New("there is a $ that begins no name of a variable; the engine does not take it either: put the secret into a variable")
	}
	return fmt.Errorf("the variable %s is not set", name)
}

// dialect is the path at which the service speaks the dialect of Database Lab. Engines
// have it in the URL of their platform.
const dialect = "/api/general"

// platformOf is the address of the service whose dialect is at a URL.
func platformOf(base string) (string, error) {
	if base == "" {
		return "", errors.New("platform.url is not there: give --platform")
	}
	u, err := url.Parse(base)
	if err != nil {
		return "", errors.New("platform.url can't be read")
	}
	origin, found := strings.CutSuffix(strings.TrimRight(u.Path, "/"), dialect)
	if !found {
		return "", fmt.Errorf("platform.url does not end with %s, so where the service is does not follow from it: give --platform", dialect)
	}
	u.Path, u.RawPath = origin, ""
	return u.String(), nil
}
