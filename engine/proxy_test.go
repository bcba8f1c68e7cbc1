package engine

import (
	"net"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// proxy stands between an engine and its platform and can be a bad network.
type proxy struct {
	listener net.Listener
	server   string
	deaf     atomic.Bool // the engine hears nothing
	mute     atomic.Bool // the platform hears nothing
	slow     atomic.Bool // a few bytes at a time
	down     atomic.Bool // who connects is hung up on
	mu       sync.Mutex
	conns    []net.Conn
	done     sync.WaitGroup
}

func newProxy(t testing.TB, to *httptest.Server) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, server: strings.TrimPrefix(to.URL, "http://")}
	p.done.Go(p.accept)
	t.Cleanup(func() {
		_ = l.Close()
		p.hangUp()
		p.done.Wait()
	})
	return p
}

func (p *proxy) url() string { return "http://" + p.listener.Addr().String() }

// cut ends all connections, and lets nobody connect.
func (p *proxy) cut() {
	p.down.Store(true)
	p.hangUp()
}

func (p *proxy) heal() {
	p.down.Store(false)
	p.deaf.Store(false)
	p.mute.Store(false)
}

func (p *proxy) hangUp() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.conns = nil
}

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.server)
		if err != nil || p.down.Load() {
			_ = client.Close()
			if err == nil {
				_ = server.Close()
			}
			continue
		}
		p.mu.Lock()
		p.conns = append(p.conns, client, server)
		p.mu.Unlock()
		p.done.Go(func() { p.carry(server, client, &p.mute) })
		p.done.Go(func() { p.carry(client, server, &p.deaf) })
	}
}

// carry copies from one side to the other, or nowhere while drop is set.
func (p *proxy) carry(to, from net.Conn, drop *atomic.Bool) {
	defer to.Close()
	defer from.Close()
	buffer := make([]byte, 64<<10)
	for {
		most := len(buffer)
		if p.slow.Load() {
			most = 7
		}
		n, err := from.Read(buffer[:most])
		if err != nil {
			return
		}
		if drop.Load() {
			continue
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}
