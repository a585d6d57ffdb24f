package browsertest

import (
	"bytes"
	"image"
	"image/draw"
	"image/jpeg"
	_ "image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// site is the page on a running stack.
type site struct {
	*browser
	address string
}

func TestPage(t *testing.T) {
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	shots := filepath.Join(root, "build", "screenshots")
	if err := os.MkdirAll(shots, 0o700); err != nil {
		t.Fatal(err)
	}
	astronaut := sample(t, root, "astronaut.png")
	hopper := sample(t, root, "grace_hopper.jpg")
	camera := filepath.Join(t.TempDir(), "camera.mjpeg")
	if err := os.WriteFile(camera, motionJPEG(toJPEG(t, picture(t, hopper))), 0o600); err != nil {
		t.Fatal(err)
	}

	address, uploads, f := startFake(t)
	s := &site{browser: startBrowser(t, camera, shots, address, uploads), address: address}

	t.Run("selfie", func(t *testing.T) {
		tb := s.open(t, s.address+"/")
		tb.view("facts")
		tb.step("01-facts")

		// By keyboard: sent empty, the summary of errors takes the focus.
		tb.run("focus the sum", chromedp.Focus(chromedp.ID("sum_cents")))
		tb.enter()
		tb.see(".summary", "Enter a whole amount")
		tb.until("focus on the summary", `document.activeElement.className === 'summary'`)
		tb.step("02-facts-errors")
		tb.run("go to its first link", chromedp.KeyEvent(kb.Tab))
		tb.enter()
		tb.until("focus on the sum", `document.activeElement.id === 'sum_cents'`)

		tb.facts()
		tb.step("03-facts-filled")
		tb.press("Continue")
		tb.view("consent")
		tb.see(".consent-text", "underwriter may look at the photo")
		tb.step("04-consent")
		tb.press("Agree and continue")
		tb.see(".summary", "Tick the box")
		tb.click("#agree")
		tb.press("Agree and continue")
		tb.view("photo")
		tb.step("05-photo")
		if sent := tb.requests(uploads); len(sent) > 0 {
			t.Errorf("%q was sent before a photo was chosen", sent)
		}
		tb.choose(t, "astronaut.png", astronaut)
		tb.see("main", "Send this photo")
		tb.step("06-preview")
		tb.press("Send this photo")
		tb.view("wait")
		tb.step("07-wait")
		tb.view("quoted")
		tb.see("#interval", "between 20 and 42")
		tb.step("08-quoted")

		// One price by the date of birth, beside the range.
		tb.birthDate("5", "3", "1990")
		tb.press("Show my price")
		tb.view("quoted")
		tb.see("#price-title", "At your age of")
		tb.step("09-one-price")
	})

	t.Run("refused", func(t *testing.T) {
		f.codes = []string{"no_face", "many_faces"}
		tb := s.apply(t, "en")
		tb.send(t, "wall.jpg", toJPEG(t, image.NewGray(image.Rect(0, 0, 640, 480))))
		tb.see("#refusal", "We found no face in this picture")
		tb.see("h1", "Please take another photo")
		tb.step("10-no-face")
		tb.send(t, "two.jpg", toJPEG(t, twice(picture(t, hopper))))
		tb.see("#refusal", "There is more than one face in this picture")
		tb.step("11-two-faces")
		tb.send(t, "astronaut.png", astronaut)
		tb.view("quoted")
		tb.see("#record", "Photo 1: We found no face")
		tb.step("12-after-retake")
	})

	t.Run("age", func(t *testing.T) {
		tb := s.open(t, s.address+"/")
		tb.view("facts")
		tb.facts()
		tb.press("Continue")
		tb.view("consent")
		tb.press("Continue without a photo")
		tb.view("age")
		tb.step("13-age")
		tb.birthDate("31", "2", "1984")
		tb.press("Get my quote")
		tb.see(".summary", "Enter a real date of birth")
		tb.birthDate("17", "5", "1984")
		tb.press("Get my quote")
		tb.view("quoted")
		tb.step("14-age-quoted")
	})

	t.Run("case", func(t *testing.T) {
		tb := s.apply(t, "en")
		tb.send(t, "hopper.jpg", hopper)
		tb.until("an outcome", `['quoted', 'person'].includes(document.querySelector('main').dataset.view)`)
		link := value[string](tb, `location.href`)

		tb.click("#do-correct")
		tb.view("correct")
		tb.step("15-correct")
		tb.fill("weight_kg", "180")
		tb.press("Send the correction")
		tb.view("quoted")

		again := s.open(t, link)
		again.view("quoted")
		again.step("16-resumed")
		again.click("#do-letter")
		again.see("#letter", "Decision letter")
		again.step("17-letter")
		again.press("Back")
		again.click("#do-complain")
		again.view("complain")
		again.step("18-complain")
		again.fill("text", "The weight was misread.")
		again.press("Send the complaint")
		again.see(".notice.good", "Your complaint is on record")
		again.click("#do-person")
		again.view("ask")
		again.press("Ask for a person")
		again.view("person")
		again.step("19-person")
		again.click("#do-remove")
		again.view("remove")
		again.step("20-remove")
		again.press("Delete my application")
		again.view("receipt")
		again.step("21-receipt")
		if value[string](again, `location.hash`) != "" {
			t.Error("the address still holds the case after its deletion")
		}

		gone := s.open(t, link)
		gone.expect("404")
		gone.see("h1", "We found no such application")
		gone.step("22-gone")
	})

	t.Run("German", func(t *testing.T) {
		tb := s.open(t, s.address+"/")
		tb.view("facts")
		tb.press("Deutsch")
		tb.see("h1", "Ihr Beitrag zur Lebensversicherung")
		if l := value[string](tb, `document.documentElement.lang`); l != "de" {
			t.Errorf("lang is %q", l)
		}
		tb.step("30-de-facts")
		tb.facts()
		tb.press("Weiter")
		tb.view("consent")
		tb.step("31-de-consent")
		tb.click("#agree")
		tb.press("Einwilligen und weiter")
		tb.view("photo")
		tb.step("32-de-photo")
		tb.choose(t, "astronaut.png", astronaut)
		tb.press("Dieses Foto senden")
		tb.view("quoted")
		tb.see("#interval", "zwischen 20 und 42")
		tb.step("33-de-quoted")
	})

	t.Run("camera", func(t *testing.T) {
		tb := s.apply(t, "en")
		tb.press("Use the camera")
		tb.until("the camera's picture", `document.querySelector('video')?.videoWidth > 0`)
		tb.step("40-camera")
		tb.press("Take the picture")
		tb.see("main", "Send this photo")
		tb.step("41-camera-preview")
		if !value[bool](tb, `document.querySelector('canvas').width > 0`) || value[bool](tb, `document.querySelector('video') !== null`) {
			t.Error("no picture was taken, or the camera still shows")
		}
		tb.press("Send this photo")
		tb.until("an outcome", `['quoted', 'person'].includes(document.querySelector('main').dataset.view)`)
	})
}

// facts fills the first step.
func (tb *tab) facts() {
	tb.t.Helper()
	tb.fill("sum_cents", "250,000")
	tb.click("#term_years-20")
	tb.click("#sex")
	tb.fill("height_cm", "5")
	tb.fill("height_in", "6")
	tb.fill("weight_kg", "137")
	tb.click("#tobacco")
	for _, no := range value[[]string](tb, `[...document.querySelectorAll('input[value=no]')].map((e) => e.id)`) {
		tb.click("#" + no)
	}
}

func (tb *tab) birthDate(day, month, year string) {
	tb.t.Helper()
	tb.fill("birth_date", day)
	tb.fill("birth_month", month)
	tb.fill("birth_year", year)
}

// apply goes through facts and consent to the photo.
func (s *site) apply(t *testing.T, language string) *tab {
	t.Helper()
	tb := s.open(t, s.address+"/?lang="+language)
	tb.view("facts")
	tb.facts()
	tb.press("Continue")
	tb.view("consent")
	tb.click("#agree")
	tb.press("Agree and continue")
	tb.view("photo")
	return tb
}

// send chooses a picture, sends it, and waits for what becomes of it.
func (tb *tab) send(t *testing.T, name string, picture []byte) {
	t.Helper()
	tb.choose(t, name, picture)
	tb.press("Send this photo")
	tb.view("wait")
	tb.until("an outcome", `document.querySelector('main').dataset.view !== 'wait'`)
}

func sample(t *testing.T, root, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, "events", "selfies", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func picture(t *testing.T, file []byte) image.Image {
	t.Helper()
	img, _, err := image.Decode(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func toJPEG(t *testing.T, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 92}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// twice puts a picture beside itself.
func twice(img image.Image) image.Image {
	w, h := img.Bounds().Dx(), img.Bounds().Dy()
	two := image.NewRGBA(image.Rect(0, 0, 2*w, h))
	draw.Draw(two, image.Rect(0, 0, w, h), img, img.Bounds().Min, draw.Src)
	draw.Draw(two, image.Rect(w, 0, 2*w, h), img, img.Bounds().Min, draw.Src)
	return two
}

var _ = strings.Contains
