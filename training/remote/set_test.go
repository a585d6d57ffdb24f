package remote

import (
	"encoding/json"
	"io/fs"
	"strings"
	"testing"
)

const digits = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

func TestParseSet(t *testing.T) {
	one := func(path, sum string) string {
		return `{"schema":1,"files":[{"path":"` + path + `","bytes":3,"sha256":"` + sum + `"}]}`
	}
	tests := []struct {
		name, body string
		ok         bool
	}{
		{"one file", one("checkpoint/a", digits), true},
		{"no file", `{"schema":1,"files":[]}`, true},
		{"outside", one("../a", digits), false},
		{"from the root", one("/a", digits), false},
		{"a folder up inside", one("a/../../b", digits), false},
		{"a backslash", one(`a\\..\\b`, digits), false},
		{"the folder itself", one(".", digits), false},
		{"no hash", one("a", "sha"), false},
		{"a key outside", one("a", "../"+digits[3:]), false},
		{"capitals", one("a", strings.ToUpper(digits)), false},
		{"twice", strings.Replace(one("a", digits), "]", `,{"path":"a","bytes":3,"sha256":"`+digits+`"}]`, 1), false},
		{"negative", strings.Replace(one("a", digits), ":3", ":-3", 1), false},
		{"another schema", `{"schema":2,"files":[]}`, false},
		{"not JSON", "x", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := parseSet([]byte(tt.body)); (err == nil) != tt.ok {
				t.Errorf("parseSet = %v, want ok %t", err, tt.ok)
			}
		})
	}
}

func FuzzParseSet(f *testing.F) {
	f.Add([]byte(`{"schema":1,"files":[{"path":"a/b","bytes":3,"sha256":"` + digits + `"}]}`))
	f.Add([]byte(`{"schema":1,"files":[{"path":"../b","bytes":3,"sha256":"` + digits + `"}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		s, err := parseSet(body)
		if err != nil {
			return
		}
		for _, f := range s.Files {
			if !fs.ValidPath(f.Path) || strings.Contains(f.SHA256, "/") {
				t.Errorf("parseSet took %+v", f)
			}
		}
		again, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseSet(again); err != nil {
			t.Errorf("what parseSet took cannot be read again: %v", err)
		}
	})
}
