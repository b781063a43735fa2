// Numbers as people read them. Each is written out when its language is known, so a switch rewrites them too.

export const percent = (share) => (tag) =>
  new Intl.NumberFormat(tag, { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 }).format(share);

export const whole = (value) => (tag) => new Intl.NumberFormat(tag).format(value);

export const milliseconds = (ms) => (tag) => {
  const digits = ms < 10 ? 1 : 0;
  const number = new Intl.NumberFormat(tag, { minimumFractionDigits: digits, maximumFractionDigits: digits });
  return `${number.format(ms)} ms`;
};

export const bytes = (count) => (tag) => {
  const [size, unit] = count < 1e6 ? [count / 1e3, "kB"] : [count / 1e6, "MB"];
  const number = new Intl.NumberFormat(tag, { maximumSignificantDigits: size < 100 ? 2 : 3 });
  return `${number.format(size)} ${unit}`;
};
