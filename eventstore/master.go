package eventstore

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// NewMaster draws a master key.
func NewMaster() (m Master) {
	_, _ = rand.Read(m[:]) // never fails
	return m
}

// Reveal is the key as ParseMasters reads it: the 32 bytes in base64.
func (m Master) Reveal() string { return base64.StdEncoding.EncodeToString(m[:]) }

// String keeps the key out of logs.
func (m Master) String() string { return "[a master key]" }

// ParseMasters reads master keys with commas, blanks or line ends between. No error shows
// what was read.
func ParseMasters(text string) (masters []Master, err error) {
	fields := strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(", \t\r\n", r) })
	for i, field := range fields {
		key, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(field, "="))
		if err != nil || len(key) != len(Master{}) {
			return nil, fmt.Errorf("master key %d is not base64 of 32 bytes", i+1)
		}
		masters = append(masters, Master(key))
	}
	if len(masters) == 0 {
		return nil, errors.New("there is no master key in it")
	}
	return masters, nil
}
