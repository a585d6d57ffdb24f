// What is done to a picture before it leaves the device: turned upright, scaled
// down, and written anew, so that no metadata (place, time, device) goes along.
// And the hints on light and blur, for which nothing is sent.

/** LONGEST side of what is sent, in pixels: enough for a face, a tenth of the bytes. */
export const LONGEST = 1280;
const QUALITY = 0.9;
const MAX_FILE = 60 * 1024 * 1024; // bytes; what a phone's browser still decodes

/** Unreadable says by its code why a file cannot be used: file_heic, file_large, file_unreadable. */
export class Unreadable extends Error {
  constructor(code) {
    super(code);
    this.code = code;
  }
}

const heic = (file) => /hei[cf]/i.test(file.type) || /\.hei[cf]$/i.test(file.name);

/** open decodes a file to an upright canvas, its longest side at most LONGEST. */
export async function open(file) {
  if (file.size > MAX_FILE) throw new Unreadable('file_large');
  let source;
  try {
    source = await createImageBitmap(file, { imageOrientation: 'from-image' });
  } catch {
    throw new Unreadable(heic(file) ? 'file_heic' : 'file_unreadable');
  }
  const canvas = draw(source, source.width, source.height, LONGEST);
  source.close();
  return canvas;
}

/** frame takes the camera's present picture. */
export const frame = (video) => draw(video, video.videoWidth, video.videoHeight, LONGEST);

function draw(source, width, height, longest) {
  const scale = Math.min(1, longest / Math.max(width, height));
  const canvas = document.createElement('canvas');
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  const g = canvas.getContext('2d');
  g.fillStyle = '#fff'; // behind a transparent PNG
  g.fillRect(0, 0, canvas.width, canvas.height);
  g.imageSmoothingQuality = 'high';
  g.drawImage(source, 0, 0, canvas.width, canvas.height);
  return canvas;
}

/** encode writes the canvas as JPEG. */
export function encode(canvas) {
  return new Promise((resolve, reject) => {
    canvas.toBlob((b) => (b ? resolve(b) : reject(new Unreadable('file_unreadable'))), 'image/jpeg', QUALITY);
  });
}

// Limits of the hints, on a picture of LOOK pixels and brightness 0 to 255.
// They are milder than those of the service: a hint that cries wolf is ignored.
const LOOK = 240;
const DARK = 55;
const BRIGHT = 205;
const SHARP = 18; // variance of the Laplacian

/**
 * look returns a hint on the middle of a picture, where the oval is: 'dark',
 * 'bright', 'blurred' or 'good'.
 */
export function look(source, width, height) {
  const small = draw(source, width, height, LOOK);
  const w = Math.floor(small.width * 0.5);
  const hgt = Math.floor(small.height * 0.7);
  if (w < 8 || hgt < 8) return 'good';
  const { data } = small.getContext('2d').getImageData((small.width - w) >> 1, (small.height - hgt) >> 1, w, hgt);
  const grey = new Float32Array(w * hgt);
  let sum = 0;
  for (let i = 0; i < grey.length; i++) {
    grey[i] = 0.299 * data[4 * i] + 0.587 * data[4 * i + 1] + 0.114 * data[4 * i + 2];
    sum += grey[i];
  }
  const mean = sum / grey.length;
  if (mean < DARK) return 'dark';
  if (mean > BRIGHT) return 'bright';
  return laplacianVariance(grey, w, hgt) < SHARP ? 'blurred' : 'good';
}

function laplacianVariance(grey, w, height) {
  let sum = 0;
  let squares = 0;
  for (let y = 1; y < height - 1; y++) {
    for (let x = 1; x < w - 1; x++) {
      const i = y * w + x;
      const l = grey[i - 1] + grey[i + 1] + grey[i - w] + grey[i + w] - 4 * grey[i];
      sum += l;
      squares += l * l;
    }
  }
  const n = (w - 2) * (height - 2);
  return squares / n - (sum / n) ** 2;
}
