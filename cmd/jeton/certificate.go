package main

import (
	"crypto/tls"
	"os"
	"sync"
	"time"
)

// certificate is read again when its file has changed, so that a renewed one is
// used without a restart.
type certificate struct {
	certFile, keyFile string

	mu      sync.Mutex
	changed time.Time
	loaded  *tls.Certificate
}

// get is for tls.Config. A new certificate that can't be read leaves the old one.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	stat, err := os.Stat(c.certFile)
	if err == nil && stat.ModTime().Equal(c.changed) {
		return c.loaded, nil
	}
	if err == nil {
		err = c.load(stat.ModTime())
	}
	if c.loaded != nil {
		return c.loaded, nil
	}
	return nil, err
}

func (c *certificate) load(changed time.Time) error {
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err == nil {
		c.loaded, c.changed = &pair, changed
	}
	return err
}
