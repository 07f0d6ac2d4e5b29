package airgap

import (
	"errors"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// CloseInherited closes the network sockets that the program that started this
// one left open in it, but for the three standard ones. It is for the very
// start of a program, when none of them can be its own; a fence lets what is
// open stay open.
func CloseInherited() error {
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	var all []error
	for _, e := range list {
		fd, err := strconv.Atoi(e.Name())
		if err != nil || fd <= 2 {
			continue
		}
		family, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
		if err == nil && family != unix.AF_UNIX { // an error: no socket
			all = append(all, unix.Close(fd))
		}
	}
	return errors.Join(all...)
}
