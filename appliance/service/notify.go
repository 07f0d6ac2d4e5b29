package service

import (
	"fmt"
	"net"
	"os"
)

// Ready tells systemd that the service listens (sd_notify(3)), if it was
// started as one. It needs a Unix datagram, so it comes before the fence.
func Ready() error {
	address := os.Getenv("NOTIFY_SOCKET")
	if address == "" {
		return nil
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("systemd cannot be told that the service is ready: %w", err)
	}
	defer c.Close()
	_, err = c.Write([]byte("READY=1"))
	return err
}
