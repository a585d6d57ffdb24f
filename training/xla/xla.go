// Package xla starts GoMLX's XLA backend. XLA comes as a PJRT plugin, a shared
// library that is no part of the project: the one for CPUs is fetched by
// infra/pjrt.sh, others are named by GOMLX_BACKEND.
package xla

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/gomlx/gomlx/backends"
	_ "github.com/gomlx/gomlx/backends/xla" // registers the backend
)

// Version is the release of the CPU plugin that infra/pjrt.sh fetches.
const Version = "0.11.2"

// Open starts the backend that GOMLX_BACKEND names, or else XLA on the CPU with
// the plugin out of the cache. Nothing is installed at run time.
func Open() (backends.Backend, error) {
	if err := os.Setenv("GOMLX_NO_AUTO_INSTALL", "1"); err != nil {
		return nil, fmt.Errorf("set up GoMLX: %w", err)
	}
	config := os.Getenv(backends.ConfigEnvVar)
	if config == "" {
		plugin, err := find()
		if err != nil {
			return nil, err
		}
		config = "xla:" + plugin
	}
	keepMemory()
	b, err := backends.NewWithConfig(config)
	if err != nil {
		return nil, fmt.Errorf("start GoMLX's backend %s: %w", config, err)
	}
	return b, nil
}

// find returns the path of the CPU plugin.
func find() (string, error) {
	cache := os.Getenv("XDG_CACHE_HOME")
	if cache == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("find XLA's plugin: %w", err)
		}
		cache = filepath.Join(home, ".cache")
	}
	path := filepath.Join(cache, "agequote", "pjrt", Version, runtime.GOOS+"-"+runtime.GOARCH, "pjrt_c_api_cpu_plugin.so")
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("XLA's plugin is not installed: run `make pjrt` on linux amd64, elsewhere name one by %s=xla:/path/of/the/plugin (looked for %s)",
			backends.ConfigEnvVar, path)
	}
	return path, nil
}
