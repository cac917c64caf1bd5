package durable

import "golang.org/x/sys/windows"

// outOfRoom are the system's errors that mean a full disk.
func outOfRoom() []error {
	return []error{windows.ERROR_DISK_FULL, windows.ERROR_HANDLE_DISK_FULL, windows.ERROR_DISK_QUOTA_EXCEEDED}
}
