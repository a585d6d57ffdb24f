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

	"github.com/agequote/agequote/internal/browser"
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
	tb.View("facts")
	tb.Step("01-facts")

	// By keyboard: sent empty, the summary of errors takes the focus, and its
	// links lead to the fields.
	tb.Run("focus the sum", chromedp.Focus(chromedp.ID("sum_cents")))
	tb.Enter()
	tb.See(".summary", "Enter a whole amount")
	tb.Until("focus on the summary", `document.activeElement.className === 'summary'`)
	tb.Step("02-facts-errors")
	tb.Run("go to its first link", chromedp.KeyEvent(kb.Tab))
	tb.Enter()
	tb.Until("focus on the sum", `document.activeElement.id === 'sum_cents'`)

	tb.facts()
	tb.Step("03-facts-filled")
	tb.Press("Continue")
	tb.View("consent")
	tb.See(".consent-text", "An underwriter may")
	tb.Step("04-consent")
	tb.Press("Agree and continue")
	tb.See(".summary", "Tick the box")
	tb.Click("#agree")
	tb.Press("Agree and continue")
	tb.View("photo")
	tb.Step("05-photo")
	tb.Choose(t, "astronaut.png", astronaut)
	tb.See("main", "Send this photo")
	tb.Step("06-preview")
	if sent := tb.Requests(s.uploads); len(sent) > 0 {
		t.Errorf("%q was sent before the button was pressed", sent)
	}
	tb.Press("Send this photo")
	tb.View("wait")
	tb.Shot("07-wait")
	tb.View("quoted")
	q := s.quote(t, tb.id(), "photo-0001")
	tb.See("#interval", fmt.Sprintf("between %.0f and %.0f", q.Interval.Low, q.Interval.High))
	for _, cents := range []*int64{q.ModalCents, q.At.Low.ModalCents, q.At.High.ModalCents} {
		amount := fmt.Sprintf("$%.2f", float64(*cents)/100)
		if !strings.Contains(tb.Text("main"), amount) && !strings.Contains(tb.Text(".chart"), amount) {
			t.Errorf("the page does not show %s, which is in the stored quote", amount)
		}
	}
	tb.Step("08-quoted")
	tb.Show(browser.Desk)
	tb.Shot("08-quoted-desk")
	tb.Show(browser.Phone)

	// One price by the date of birth, beside the range.
	tb.birthDate("5", "3", "1990")
	tb.Press("Show my price")
	tb.See("#price-title", "At your age of")
	tb.Step("09-one-price")
}

// upright sends a picture that lies on its side and says where it was taken:
// what is stored stands upright and says nothing.
func (s *site) upright(t *testing.T, hopper []byte) {
	upright := picture(t, hopper)
	const place = "48.1374 N 11.5755 E"
	tb := s.apply(t, "en")
	tb.Choose(t, "IMG_0001.heic", []byte("no browser of ours opens this"))
	tb.See(".stage-error", "cannot open HEIC")
	tb.send(t, "IMG_0001.jpg", withEXIF(toJPEG(t, quarterTurn(upright)), place))
	tb.Step("10-hopper")

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
	tb.Choose(t, "night.jpg", toJPEG(t, image.NewUniform(color.Gray{Y: 20})))
	tb.See(".camera-hint", "Too dark")
	tb.Press("Take another")
	tb.Choose(t, "wall.jpg", toJPEG(t, image.NewUniform(color.Gray{Y: 128})))
	tb.See(".camera-hint", "Looks blurred")
	if sent := tb.Requests(s.uploads); len(sent) > 0 {
		t.Errorf("%q was sent for a hint", sent)
	}
	tb.Press("Send this photo")
	tb.View("wait")
	tb.outcome()
	tb.See("h1", "Please take another photo")
	tb.See("#refusal", "We found no face in this picture")
	tb.Step("11-no-face")
	tb.send(t, "two.jpg", toJPEG(t, twice(picture(t, hopper))))
	tb.See("#refusal", "There is more than one face in this picture")
	tb.Step("12-two-faces")
	tb.send(t, "astronaut.png", astronaut)
	tb.View("quoted")
	tb.See("#record", "Photo 1: We found no face")
	tb.See("#record", "Photo 3: The age was read")
	tb.Step("13-after-retake")

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
	tb.View("facts")
	tb.facts()
	tb.Press("Continue")
	tb.View("consent")
	tb.Press("Continue without a photo")
	tb.View("age")
	tb.Step("14-age")
	tb.birthDate("31", "2", "1984")
	tb.Press("Get my quote")
	tb.See(".summary", "Enter a real date of birth")
	tb.birthDate("17", "5", "1984")
	tb.Press("Get my quote")
	tb.View("quoted")
	tb.See("#price-title", "At your age of")
	tb.Step("15-age-quoted")
	if sent := tb.Requests(s.uploads); len(sent) > 0 {
		t.Errorf("%q was sent without a photo", sent)
	}

	// A photo after all: not without consent.
	tb.Click("#do-another")
	tb.See("h1", "May we read your age from a photo?")
}

// wholeCase corrects a fact, takes the case up in a new tab, complains, asks
// for a person, and withdraws.
func (s *site) wholeCase(t *testing.T, astronaut []byte) {
	tb := s.apply(t, "en")
	tb.send(t, "astronaut.png", astronaut)
	tb.View("quoted")
	before := tb.Text("#premium")
	tb.Click("#do-correct")
	tb.View("correct")
	if got := value[string](tb, `document.querySelector('#weight_kg').value`); got != "137" {
		t.Errorf("the form shows a weight of %s lb, want 137", got)
	}
	tb.Step("16-correct")
	tb.Fill("sum_cents", "500,000")
	tb.Press("Send the correction")
	tb.View("quoted")
	if after := tb.Text("#premium"); after == before {
		t.Errorf("the premium is still %s after the sum was doubled", after)
	}
	link, id := value[string](tb, `location.href`), tb.id()

	again := s.open(t, link)
	again.View("quoted")
	if resumed := again.Text("#premium"); resumed != tb.Text("#premium") {
		t.Errorf("a new tab shows %s, the first one %s", resumed, tb.Text("#premium"))
	}
	again.Step("17-resumed")
	again.Run("skip to the content", chromedp.Focus(chromedp.ID("skip")))
	again.Enter()
	if got := value[string](again, `location.href`); got != link {
		t.Error("the link that skips to the content takes the case out of the address")
	}
	again.Click("#do-letter")
	again.View("letter")
	again.Until("the letter", `document.querySelector('#letter').textContent.includes('person')`)
	again.Step("18-letter")
	again.Press("Back")
	again.Click("#do-complain")
	again.View("complain")
	again.Step("19-complain")
	again.Fill("text", "The weight was misread.")
	again.Press("Send the complaint")
	again.See(".notice.good", "Your complaint is on record")
	again.Click("#do-person")
	again.View("ask")
	again.Press("Ask for a person")
	again.View("person")
	again.Step("20-person")
	again.Click("#do-remove")
	again.View("remove")
	again.Step("21-remove")
	again.Press("Delete my application")
	again.View("receipt")
	again.Step("22-receipt")
	if hash := value[string](again, `location.hash`); hash != "" {
		t.Errorf("the address still holds %s after the deletion", hash)
	}
	if photos, err := s.photos.List(t.Context(), "uploads/"+id+"/"); err != nil || len(photos) > 0 {
		t.Errorf("photos after the deletion: %q, %v", photos, err)
	}

	gone := s.open(t, link)
	gone.Expect("Failed to load resource") // the browser's word for our 404 or 410
	gone.See("h1", "We found no such application")
	gone.Step("23-gone")
}

// german goes to a quote in German.
func (s *site) german(t *testing.T, astronaut []byte) {
	tb := s.open(t, s.address+"/")
	tb.View("facts")
	tb.Press("Deutsch")
	tb.See("h1", "Ihr Beitrag zur Lebensversicherung")
	if l := value[string](tb, `document.documentElement.lang`); l != "de" {
		t.Errorf("lang is %q", l)
	}
	tb.Step("30-de-facts")
	tb.facts()
	tb.Press("Weiter")
	tb.View("consent")
	tb.See(".consent-text", "Foto")
	tb.Step("31-de-consent")
	tb.Click("#agree")
	tb.Press("Einwilligen und weiter")
	tb.View("photo")
	tb.Step("32-de-photo")
	tb.Choose(t, "astronaut.png", astronaut)
	tb.Press("Dieses Foto senden")
	tb.View("quoted")
	q := s.quote(t, tb.id(), "photo-0001")
	tb.See("#interval", fmt.Sprintf("zwischen %.0f und %.0f", q.Interval.Low, q.Interval.High))
	tb.Step("33-de-quoted")
}

// camera takes the picture by the browser's camera.
func (s *site) camera(t *testing.T) {
	tb := s.apply(t, "en")
	tb.Press("Use the camera")
	tb.Until("the camera's picture", `document.querySelector('video')?.videoWidth > 0`)
	tb.Step("40-camera")
	tb.Press("Take the picture")
	tb.See("main", "Send this photo")
	tb.Step("41-camera-preview")
	if value[bool](tb, `document.querySelector('video') !== null`) {
		t.Error("the camera still shows after the picture was taken")
	}
	tb.Press("Send this photo")
	tb.outcome()
	if codes, _ := s.record(t, tb.id()); !cmp.Equal(codes, []reason.Code{reason.OK}) {
		t.Errorf("photos %q, want one that was read", codes)
	}
}

// facts fills the first step.
func (tb *tab) facts() {
	tb.T.Helper()
	tb.Fill("sum_cents", "250,000")
	tb.Click("#term_years-20")
	tb.Click("#sex")
	tb.Fill("height_cm", "5")
	tb.Fill("height_in", "6")
	tb.Fill("weight_kg", "137")
	tb.Click("#tobacco")
	for _, no := range value[[]string](tb, `[...document.querySelectorAll('input[value=no]')].map((e) => e.id)`) {
		tb.Click("#" + no)
	}
}

func (tb *tab) birthDate(day, month, year string) {
	tb.T.Helper()
	tb.Fill("birth_date", day)
	tb.Fill("birth_month", month)
	tb.Fill("birth_year", year)
}

// apply goes through facts and consent to the photo.
func (s *site) apply(t *testing.T, language string) *tab {
	t.Helper()
	tb := s.open(t, s.address+"/?lang="+language)
	tb.View("facts")
	tb.facts()
	tb.Press("Continue")
	tb.View("consent")
	tb.Click("#agree")
	tb.Press("Agree and continue")
	tb.View("photo")
	return tb
}

// send chooses a picture, sends it, and waits for what becomes of it.
func (tb *tab) send(t *testing.T, name string, picture []byte) {
	t.Helper()
	tb.Choose(t, name, picture)
	tb.Press("Send this photo")
	tb.View("wait")
	tb.outcome()
}

func (tb *tab) outcome() {
	tb.T.Helper()
	tb.Until("an outcome", `['quoted', 'person', 'photo'].includes(document.querySelector('main').dataset.view) && !document.querySelector('progress')`)
}

// id is the case that the address holds.
func (tb *tab) id() string {
	tb.T.Helper()
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
