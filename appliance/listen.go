package appliance

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// errNoLookup is what a name server would have been asked for.
var errNoLookup = errors.New("names are not looked up in the network")

// listenPublic binds HOST:PORT. A name is looked up in /etc/hosts and nowhere
// else: asking a name server would be a connection to the outside.
func listenPublic(address string) (net.Listener, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if _, err := netip.ParseAddr(host); err != nil && host != "" {
		if host, err = knownHost(host); err != nil {
			return nil, err
		}
	}
	// Multipath TCP, Go's default, lets the kernel open paths of its own.
	var c net.ListenConfig
	c.SetMultipathTCP(false)
	return c.Listen(context.Background(), "tcp", net.JoinHostPort(host, port))
}

// knownHost is an address of a name in /etc/hosts, IPv4 before IPv6.
func knownHost(name string) (string, error) {
	r := net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) { return nil, errNoLookup }}
	found, err := r.LookupNetIP(context.Background(), "ip", name)
	if err != nil || len(found) == 0 {
		return "", fmt.Errorf("%q does not stand in /etc/hosts, and %w: give an IP address", name, errNoLookup)
	}
	for _, a := range found {
		if a.Unmap().Is4() {
			return a.Unmap().String(), nil
		}
	}
	return found[0].String(), nil
}
