package main

import (
	"testing"

	"jeton/domain"
)

// Whatever can happen is told in a sentence.
func TestEveryKindHasASentence(t *testing.T) {
	for _, kind := range domain.Kinds() {
		if sentences[kind] == "" {
			t.Errorf("%s is told as data", kind)
		}
	}
}
