package browsertest

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/google/go-cmp/cmp"

	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/reason"
)

// TestPage goes through the page as customers do, each in a tab of their own.
func TestPage(t *testing.T) {
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	astronaut := sample(t, root, "astronaut.png")
	hopper := sample(t, root, "grace_hopper.jpg")
	s := startSite(t, root, toJPEG(t, picture(t, hopper)))

	// customers share the stack and the browser, and go their ways at once. Each
	// has a photo of their own: the same file from two goes to a person.
	own := func(file []byte, customer int) []byte { return marked(t, picture(t, file), customer) }
	t.Run("customers", func(t *testing.T) {
		for name, walk := range map[string]func(*testing.T){
			"selfie":  func(t *testing.T) { s.selfie(t, own(astronaut, 1)) },
			"upright": func(t *testing.T) { s.upright(t, hopper) },
			"retake":  func(t *testing.T) { s.retake(t, own(astronaut, 2), hopper) },
			"age":     s.age,
			"case":    func(t *testing.T) { s.wholeCase(t, own(astronaut, 3)) },
			"German":  func(t *testing.T) { s.german(t, own(astronaut, 4)) },
			"camera":  s.camera,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				walk(t)
			})
		}
	})
}

// selfie is the shortest way to a quote, with every step judged.
func (s *site) selfie(t *testing.T, astronaut []byte) {
	tb := s.open(t, s.address+"/")
	tb.view("facts")
	tb.step("01-facts")

	// By keyboard: sent empty, the summary of errors takes the focus, and its
	// links lead to the fields.
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
	tb.see(".consent-text", "An underwriter may")
	tb.step("04-consent")
	tb.press("Agree and continue")
	tb.see(".summary", "Tick the box")
	tb.click("#agree")
	tb.press("Agree and continue")
	tb.view("photo")
	tb.step("05-photo")
	tb.choose(t, "astronaut.png", astronaut)
	tb.see("main", "Send this photo")
	tb.step("06-preview")
	if sent := tb.requests(s.uploads); len(sent) > 0 {
		t.Errorf("%q was sent before the button was pressed", sent)
	}
	tb.press("Send this photo")
	tb.view("wait")
	tb.shot("07-wait")
	tb.view("quoted")
	q := s.quote(t, tb.id(), "photo-0001")
	tb.see("#interval", fmt.Sprintf("between %.0f and %.0f", q.Interval.Low, q.Interval.High))
	for _, cents := range []*int64{q.ModalCents, q.At.Low.ModalCents, q.At.High.ModalCents} {
		amount := fmt.Sprintf("$%.2f", float64(*cents)/100)
		if !strings.Contains(tb.text("main"), amount) && !strings.Contains(tb.text(".chart"), amount) {
			t.Errorf("the page does not show %s, which is in the stored quote", amount)
		}
	}
	tb.step("08-quoted")
	tb.run("go to a desk", chromedp.EmulateViewport(1280, 900))
	tb.shot("08-quoted-desk")
	tb.run("go back to the phone", onPhone)

	// One price by the date of birth, beside the range.
	tb.birthDate("5", "3", "1990")
	tb.press("Show my price")
	tb.see("#price-title", "At your age of")
	tb.step("09-one-price")
}

// upright sends a picture that lies on its side and says where it was taken:
// what is stored stands upright and says nothing.
func (s *site) upright(t *testing.T, hopper []byte) {
	upright := picture(t, hopper)
	const place = "48.1374 N 11.5755 E"
	tb := s.apply(t, "en")
	tb.choose(t, "IMG_0001.heic", []byte("no browser of ours opens this"))
	tb.see(".stage-error", "cannot open HEIC")
	tb.send(t, "IMG_0001.jpg", withEXIF(toJPEG(t, quarterTurn(upright)), place))
	tb.step("10-hopper")

	stored, err := s.photos.Get(t.Context(), casefile.UploadKey(tb.id(), 1), 10<<20)
	if err != nil {
		t.Fatal(err)
	}
	for _, trace := range []string{"Exif", place} {
		if bytes.Contains(stored, []byte(trace)) {
			t.Errorf("the stored photo still holds %q", trace)
		}
	}
	got, want := picture(t, stored).Bounds(), upright.Bounds()
	if got.Dx() != want.Dx() || got.Dy() != want.Dy() {
		t.Errorf("the stored photo is %d x %d, want %d x %d", got.Dx(), got.Dy(), want.Dx(), want.Dy())
	}
	codes, quotes := s.record(t, tb.id())
	if diff := cmp.Diff([]reason.Code{reason.OK}, codes); diff != "" {
		t.Errorf("photos (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"photo-0001"}, quotes); diff != "" {
		t.Errorf("quotes (-want +got):\n%s", diff)
	}
}

// retake sends a picture without a face and one with two before a good one.
func (s *site) retake(t *testing.T, astronaut, hopper []byte) {
	tb := s.apply(t, "en")
	tb.choose(t, "night.jpg", toJPEG(t, image.NewUniform(color.Gray{Y: 20})))
	tb.see(".camera-hint", "Too dark")
	tb.press("Take another")
	tb.choose(t, "wall.jpg", toJPEG(t, image.NewUniform(color.Gray{Y: 128})))
	tb.see(".camera-hint", "Looks blurred")
	if sent := tb.requests(s.uploads); len(sent) > 0 {
		t.Errorf("%q was sent for a hint", sent)
	}
	tb.press("Send this photo")
	tb.view("wait")
	tb.outcome()
	tb.see("h1", "Please take another photo")
	tb.see("#refusal", "We found no face in this picture")
	tb.step("11-no-face")
	tb.send(t, "two.jpg", toJPEG(t, twice(picture(t, hopper))))
	tb.see("#refusal", "There is more than one face in this picture")
	tb.step("12-two-faces")
	tb.send(t, "astronaut.png", astronaut)
	tb.view("quoted")
	tb.see("#record", "Photo 1: We found no face")
	tb.see("#record", "Photo 3: The age was read")
	tb.step("13-after-retake")

	codes, quotes := s.record(t, tb.id())
	if diff := cmp.Diff([]reason.Code{reason.NoFace, reason.ManyFaces, reason.OK}, codes); diff != "" {
		t.Errorf("photos (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"photo-0003"}, quotes); diff != "" {
		t.Errorf("quotes (-want +got):\n%s", diff)
	}
}

// age states the age instead of a photo.
func (s *site) age(t *testing.T) {
	tb := s.open(t, s.address+"/")
	tb.view("facts")
	tb.facts()
	tb.press("Continue")
	tb.view("consent")
	tb.press("Continue without a photo")
	tb.view("age")
	tb.step("14-age")
	tb.birthDate("31", "2", "1984")
	tb.press("Get my quote")
	tb.see(".summary", "Enter a real date of birth")
	tb.birthDate("17", "5", "1984")
	tb.press("Get my quote")
	tb.view("quoted")
	tb.see("#price-title", "At your age of")
	tb.step("15-age-quoted")
	if sent := tb.requests(s.uploads); len(sent) > 0 {
		t.Errorf("%q was sent without a photo", sent)
	}

	// A photo after all: not without consent.
	tb.click("#do-another")
	tb.see("h1", "May we read your age from a photo?")
}

// wholeCase corrects a fact, takes the case up in a new tab, complains, asks
// for a person, and withdraws.
func (s *site) wholeCase(t *testing.T, astronaut []byte) {
	tb := s.apply(t, "en")
	tb.send(t, "astronaut.png", astronaut)
	tb.view("quoted")
	before := tb.text("#premium")
	tb.click("#do-correct")
	tb.view("correct")
	if got := value[string](tb, `document.querySelector('#weight_kg').value`); got != "137" {
		t.Errorf("the form shows a weight of %s lb, want 137", got)
	}
	tb.step("16-correct")
	tb.fill("sum_cents", "500,000")
	tb.press("Send the correction")
	tb.view("quoted")
	if after := tb.text("#premium"); after == before {
		t.Errorf("the premium is still %s after the sum was doubled", after)
	}
	link, id := value[string](tb, `location.href`), tb.id()

	again := s.open(t, link)
	again.view("quoted")
	if resumed := again.text("#premium"); resumed != tb.text("#premium") {
		t.Errorf("a new tab shows %s, the first one %s", resumed, tb.text("#premium"))
	}
	again.step("17-resumed")
	again.run("skip to the content", chromedp.Focus(chromedp.ID("skip")))
	again.enter()
	if got := value[string](again, `location.href`); got != link {
		t.Error("the link that skips to the content takes the case out of the address")
	}
	again.click("#do-letter")
	again.view("letter")
	again.until("the letter", `document.querySelector('#letter').textContent.includes('person')`)
	again.step("18-letter")
	again.press("Back")
	again.click("#do-complain")
	again.view("complain")
	again.step("19-complain")
	again.fill("text", "The weight was misread.")
	again.press("Send the complaint")
	again.see(".notice.good", "Your complaint is on record")
	again.click("#do-person")
	again.view("ask")
	again.press("Ask for a person")
	again.view("person")
	again.step("20-person")
	again.click("#do-remove")
	again.view("remove")
	again.step("21-remove")
	again.press("Delete my application")
	again.view("receipt")
	again.step("22-receipt")
	if hash := value[string](again, `location.hash`); hash != "" {
		t.Errorf("the address still holds %s after the deletion", hash)
	}
	if photos, err := s.photos.List(t.Context(), "uploads/"+id+"/"); err != nil || len(photos) > 0 {
		t.Errorf("photos after the deletion: %q, %v", photos, err)
	}

	gone := s.open(t, link)
	gone.expect("Failed to load resource") // the browser's word for our 404 or 410
	gone.see("h1", "We found no such application")
	gone.step("23-gone")
}

// german goes to a quote in German.
func (s *site) german(t *testing.T, astronaut []byte) {
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
	tb.see(".consent-text", "Foto")
	tb.step("31-de-consent")
	tb.click("#agree")
	tb.press("Einwilligen und weiter")
	tb.view("photo")
	tb.step("32-de-photo")
	tb.choose(t, "astronaut.png", astronaut)
	tb.press("Dieses Foto senden")
	tb.view("quoted")
	q := s.quote(t, tb.id(), "photo-0001")
	tb.see("#interval", fmt.Sprintf("zwischen %.0f und %.0f", q.Interval.Low, q.Interval.High))
	tb.step("33-de-quoted")
}

// camera takes the picture by the browser's camera.
func (s *site) camera(t *testing.T) {
	tb := s.apply(t, "en")
	tb.press("Use the camera")
	tb.until("the camera's picture", `document.querySelector('video')?.videoWidth > 0`)
	tb.step("40-camera")
	tb.press("Take the picture")
	tb.see("main", "Send this photo")
	tb.step("41-camera-preview")
	if value[bool](tb, `document.querySelector('video') !== null`) {
		t.Error("the camera still shows after the picture was taken")
	}
	tb.press("Send this photo")
	tb.outcome()
	if codes, _ := s.record(t, tb.id()); !cmp.Equal(codes, []reason.Code{reason.OK}) {
		t.Errorf("photos %q, want one that was read", codes)
	}
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
	tb.outcome()
}

func (tb *tab) outcome() {
	tb.t.Helper()
	tb.until("an outcome", `['quoted', 'person', 'photo'].includes(document.querySelector('main').dataset.view) && !document.querySelector('progress')`)
}

// id is the case that the address holds.
func (tb *tab) id() string {
	tb.t.Helper()
	id, _, _ := strings.Cut(strings.TrimPrefix(value[string](tb, `location.hash`), "#"), ".")
	return id
}

func sample(t *testing.T, root, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, "events", "selfies", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// marked returns the picture as a PNG with a corner of another grey, which
// makes another file of it after the page has reduced it too.
func marked(t *testing.T, img image.Image, n int) []byte {
	t.Helper()
	out := image.NewRGBA(img.Bounds())
	draw.Draw(out, out.Rect, img, img.Bounds().Min, draw.Src)
	corner := image.Rectangle{Min: out.Rect.Min, Max: out.Rect.Min.Add(image.Pt(16, 16))}
	draw.Draw(out, corner, image.NewUniform(color.Gray{Y: uint8(20 * n)}), image.Point{}, draw.Src)
	var b bytes.Buffer
	if err := png.Encode(&b, out); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func picture(t *testing.T, file []byte) image.Image {
	t.Helper()
	img, _, err := image.Decode(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// toJPEG encodes a picture; one without bounds gets 640 x 480.
func toJPEG(t *testing.T, img image.Image) []byte {
	t.Helper()
	r := img.Bounds().Intersect(image.Rect(0, 0, 4000, 4000))
	if u, ok := img.(*image.Uniform); ok {
		r = image.Rect(0, 0, 640, 480)
		img = u
	}
	flat := image.NewRGBA(r)
	draw.Draw(flat, r, img, r.Min, draw.Src)
	var b bytes.Buffer
	if err := jpeg.Encode(&b, flat, &jpeg.Options{Quality: 92}); err != nil {
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

// quarterTurn turns a picture to the left; EXIF orientation 6 turns it back.
func quarterTurn(img image.Image) image.Image {
	b := img.Bounds()
	turned := image.NewRGBA(image.Rect(0, 0, b.Dy(), b.Dx()))
	for y := range b.Dy() {
		for x := range b.Dx() {
			turned.Set(y, b.Dx()-1-x, img.At(b.Min.X+x, b.Min.Y+y))
		}
	}
	return turned
}

// withEXIF puts a segment behind the JPEG's first marker that says orientation
// 6 (turn right to see it upright), and a description.
func withEXIF(file []byte, description string) []byte {
	text := append([]byte(description), 0)
	tiff := append([]byte("MM\x00\x2a\x00\x00\x00\x08"), // big endian; the directory is at 8
		0, 2, // entries
		0x01, 0x0e, 0, 2, 0, 0, 0, byte(len(text)), 0, 0, 0, 38, // ImageDescription, text at 38
		0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, 6, 0, 0, // Orientation
		0, 0, 0, 0) // no further directory
	payload := append(append([]byte("Exif\x00\x00"), tiff...), text...)
	segment := append([]byte{0xff, 0xe1, byte((len(payload) + 2) >> 8), byte(len(payload) + 2)}, payload...)
	return append(append(bytes.Clone(file[:2]), segment...), file[2:]...)
}
