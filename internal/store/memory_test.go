package store_test

import (
	"testing"

	"github.com/agequote/agequote/internal/store"
	"github.com/agequote/agequote/internal/store/storetest"
)

func TestMemory(t *testing.T) { storetest.Conformance(t, new(store.Memory)) }
