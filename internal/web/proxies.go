package web

import (
	"net/http"
	"net/netip"
	"strings"
)

// Proxies are the networks whose X-Forwarded-For is trusted. Loopback addresses always are.
type Proxies []netip.Prefix

// UnmarshalText reads networks such as "10.0.0.0/8,192.0.2.1/32".
func (p *Proxies) UnmarshalText(text []byte) error {
	var read Proxies
	for part := range strings.SplitSeq(string(text), ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		prefix, err := netip.ParsePrefix(part)
		if err != nil {
			return err
		}
		read = append(read, prefix.Masked())
	}
	*p = read
	return nil
}

func (p Proxies) trust(a netip.Addr) bool {
	for _, prefix := range p {
		if prefix.Contains(a) {
			return true
		}
	}
	return a.IsLoopback()
}

// Client is the address that a request came from: the peer or, if the peer is a trusted proxy, the last address of
// X-Forwarded-For, which the proxy itself has seen. An IPv6 address is reduced to its /64 network, because a client
// has all addresses of one.
func (p Proxies) Client(r *http.Request) netip.Addr {
	peer, _ := netip.ParseAddrPort(r.RemoteAddr) // it fails only if net/http did not set it; such requests share a bucket
	client := peer.Addr().Unmap()
	if forwarded := r.Header.Values("X-Forwarded-For"); len(forwarded) > 0 && p.trust(client) {
		list := forwarded[len(forwarded)-1]
		last := strings.TrimSpace(list[strings.LastIndexByte(list, ',')+1:])
		if a, err := netip.ParseAddr(last); err == nil {
			client = a.Unmap()
		}
	}
	if client.Is6() {
		client = netip.PrefixFrom(client.WithZone(""), 64).Masked().Addr()
	}
	return client
}
