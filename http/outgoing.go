package http

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Outgoing sends requests to addresses that members of organizations have chosen. The
// zero value reaches the public internet, by https, and nothing else.
//
// Such a member controls the address, what its name resolves to at each moment, and what
// the receiver answers. So it is looked at the address that is connected to, right
// before it is, whatever name or notation it came from; redirects are not followed;
// no proxy and no cookie comes in; and of the answer nothing is told but its status.
type Outgoing struct {
	// Networks are reached, too, though they are not public; and nothing else is by http.
	Networks []netip.Prefix
	Timeout  time.Duration  // of a request with its answer; 0: 15 s
	Roots    *x509.CertPool // who is believed; nil: whom the system believes
	Resolver *net.Resolver  // nil: the system's

	begin  sync.Once
	secure http.Client
	plain  http.Client
}

const (
	outgoingTimeout = 15 * time.Second
	connectTimeout  = 5 * time.Second
	answerRead      = 16 << 10 // bytes
)

// fault is why a request was no success, in words that are fit for who chose the
// address: a class, and nothing of what is inside.
type fault string

func (f fault) Error() string { return string(f) }

const (
	faultAddress     fault = "the address is not allowed"
	faultName        fault = "the name can't be looked up"
	faultTimeout     fault = "timed out"
	faultCertificate fault = "the certificate is not accepted"
	faultTLS         fault = "TLS failed"
	faultRefused     fault = "refused the connection"
	faultClosed      fault = "closed the connection"
	faultUnreached   fault = "can't be reached"
)

// Post sends a body and answers the status. What went wrong before there was one is a
// fault.
func (o *Outgoing) Post(ctx context.Context, to string, header http.Header, body []byte) (status int, err error) {
	o.begin.Do(o.open)
	ctx, cancel := context.WithTimeout(ctx, o.timeout())
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return 0, faultUnreached
	}
	request.Header = header
	client := &o.secure
	if request.URL.Scheme == "http" {
		client = &o.plain
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, faultOf(err)
	}
	defer response.Body.Close()
	// Whatever the body is, and however it ends: the receiver has said what it had to.
	_, _ = io.CopyN(io.Discard, response.Body, answerRead)
	return response.StatusCode, nil
}

// open makes the clients. Certificates are demanded but in plain networks, which must
// be allowed.
func (o *Outgoing) open() {
	o.secure = o.client(func(address netip.Addr) bool { return public(address) || within(o.Networks, address) })
	o.plain = o.client(func(address netip.Addr) bool { return within(o.Networks, address) })
}

func (o *Outgoing) timeout() time.Duration {
	if o.Timeout == 0 {
		return outgoingTimeout
	}
	return o.Timeout
}

func (o *Outgoing) client(allows func(netip.Addr) bool) http.Client {
	dialer := net.Dialer{
		Timeout: min(connectTimeout, o.timeout()), Resolver: o.Resolver,
		Control: func(_, address string, _ syscall.RawConn) error {
			to, err := netip.ParseAddrPort(address)
			if err != nil || !allows(to.Addr().Unmap()) {
				return faultAddress
			}
			return nil
		},
	}
	return http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext:            dialer.DialContext,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.Roots},
			TLSHandshakeTimeout:    min(connectTimeout, o.timeout()),
			DisableCompression:     true,
			DisableKeepAlives:      true, // else what comes behind an answer is written to our log
			MaxResponseHeaderBytes: answerRead,
		},
	}
}

func within(networks []netip.Prefix, address netip.Addr) bool {
	return slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(address) })
}

// public reports whether an address belongs to the internet. Of IPv6 that is what was
// given out, without what stands for IPv4 addresses or is for documents; of IPv4 what
// was given out, without what is private, local, shared, for tests, or no unicast.
func public(address netip.Addr) bool {
	if address.Zone() != "" || !address.IsValid() {
		return false
	}
	if address.Is6() {
		return unicast6.Contains(address) && !within(special6, address)
	}
	return !within(special4, address)
}

var (
	unicast6 = netip.MustParsePrefix("2000::/3")
	special6 = networksOf("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20") // Teredo and such, documents, 6to4
	special4 = networksOf(
		"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
		"192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
		"168.63.129.16/32", // metadata of Azure
		"224.0.0.0/3",
	)
)

func networksOf(texts ...string) (all []netip.Prefix) {
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

// faultOf is the class of an error. What it says itself may name addresses.
func faultOf(err error) error {
	var refused fault
	var name *net.DNSError
	var network net.Error
	var header tls.RecordHeaderError
	var alert tls.AlertError
	var certificate *tls.CertificateVerificationError
	var outer *url.Error
	switch {
	case errors.As(err, &refused):
		return refused
	case errors.As(err, &network) && network.Timeout():
		return faultTimeout
	case errors.As(err, &name):
		return faultName
	case errors.As(err, &certificate):
		return faultCertificate
	case errors.As(err, &header), errors.As(err, &alert):
		return faultTLS
	case errors.Is(err, syscall.ECONNREFUSED):
		return faultRefused
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE),
		errors.As(err, &outer) && strings.Contains(outer.Err.Error(), "server closed"):
		return faultClosed
	}
	return faultUnreached
}
