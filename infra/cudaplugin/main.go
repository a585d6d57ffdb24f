//go:build linux && amd64

// Command cudaplugin installs XLA's CUDA plugin, and NVIDIA's libraries that it
// needs, by the installer of go-xla at the version that go.mod names. The
// training image is built with it; it needs no GPU. The installer fetches by
// package name and checks by hash.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/gomlx/go-xla/pkg/installer"
)

// pluginVersion is jax-cuda13-pjrt's, the newest when go-xla v0.1.4 came out.
// It speaks version 0.81 of PJRT's interface, go-xla 0.83. Newer ones go on to
// change it: 0.8.2 has 0.85, and 0.12.0.1, which `latest` would be, has 0.116.
const pluginVersion = "0.8.1"

func main() {
	if err := run(os.Args[1:], os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "cudaplugin:", err)
		os.Exit(1)
	}
}

func run(args []string, stderr io.Writer) error {
	flags := flag.NewFlagSet("cudaplugin", flag.ContinueOnError)
	flags.SetOutput(stderr)
	lib := flags.String("lib", "/usr/local/lib", "`folder` that gets go-xla/nvidia/; links in it name it, so it cannot be moved later")
	version := flags.String("version", pluginVersion, "`version` of jax-cuda13-pjrt")
	if err := flags.Parse(args); err != nil {
		return err
	}
	err := installer.CudaInstall("cuda13", *version, filepath.Join(*lib, "go-xla"), false, installer.Normal)
	if err != nil {
		return fmt.Errorf("install CUDA plugin: %w", err)
	}
	return nil
}
