package pgtest

import (
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
)

// Proxy stands between a test and its database, so that the database can go away
// and come back without the other tests noticing.
type Proxy struct {
	URL string // of the database, through the proxy

	t      testing.TB
	socket string // of the server
	addr   string // here, the same after each Mend

	mu       sync.Mutex
	listener net.Listener // nil while cut
	open     map[net.Conn]bool
	running  sync.WaitGroup
}

// NewProxy stands in front of a database that URL made.
func NewProxy(t testing.TB, database string) *Proxy {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	options := u.Query()
	p := &Proxy{t: t, socket: options.Get("host") + "/.s.PGSQL.5432", addr: "127.0.0.1:0", open: map[net.Conn]bool{}}
	p.Mend()
	options.Del("host")
	u.Host, u.RawQuery = p.addr, options.Encode()
	p.URL = u.String()
	t.Cleanup(p.Cut)
	return p
}

// Cut breaks all connections and lets no new one in. When it returns none is left.
func (p *Proxy) Cut() {
	p.mu.Lock()
	if p.listener != nil {
		_ = p.listener.Close()
		p.listener = nil
	}
	for conn := range p.open {
		_ = conn.Close()
	}
	p.mu.Unlock()
	p.running.Wait()
}

// Mend lets connections in, again at the same address.
func (p *Proxy) Mend() {
	p.t.Helper()
	listener, err := net.Listen("tcp", p.addr)
	if err != nil {
		p.t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.listener, p.addr = listener, listener.Addr().String()
	p.running.Go(func() { p.accept(listener) })
}

func (p *Proxy) accept(listener net.Listener) {
	for {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("unix", p.socket)
		if err != nil {
			_ = client.Close()
			return
		}
		p.join(listener, client, server)
	}
}

// join copies between two connections until one of them ends. It refuses when
// the proxy was cut while they were being made.
func (p *Proxy) join(listener net.Listener, client, server net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != listener {
		_, _ = client.Close(), server.Close()
		return
	}
	p.open[client], p.open[server] = true, true
	p.running.Go(func() { p.carry(client, server) })
	p.running.Go(func() { p.carry(server, client) })
}

func (p *Proxy) carry(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	_, _ = to.Close(), from.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, to)
	delete(p.open, from)
}
