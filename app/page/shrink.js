// Large photographs made smaller before they are sent. No network here sees more than 512 pixels of the short side.

const SHORT_SIDE = 768;
const WORTHWHILE_BYTES = 400_000;
const QUALITY = 0.92;

/**
 * A smaller JPEG of a photograph, upright, or the file itself where that would save nothing or the browser cannot read
 * the format: the service can, and says what is wrong with one that nobody can read.
 */
export async function shrink(file) {
  if (file.size < WORTHWHILE_BYTES) return file;
  let picture;
  try {
    picture = await createImageBitmap(file, { imageOrientation: "from-image" }); // as EXIF says
  } catch {
    return file;
  }
  const scale = SHORT_SIDE / Math.min(picture.width, picture.height);
  if (scale >= 1) return file;
  const smaller = await drawn(picture, scale);
  return smaller && smaller.size < file.size ? smaller : file;
}

function drawn(picture, scale) {
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(picture.width * scale);
  canvas.height = Math.round(picture.height * scale);
  const pen = canvas.getContext("2d", { alpha: false });
  pen.fillStyle = "white"; // what is transparent lies over white, as in the service
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.imageSmoothingQuality = "high";
  pen.drawImage(picture, 0, 0, canvas.width, canvas.height);
  picture.close();
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", QUALITY));
}
