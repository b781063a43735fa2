// Photographs wait their turn here: a few are under way at a time, each by itself, so that one's error is its own.

const AT_ONCE = 2;
const waiting = [];
let running = 0;

/** Run a job when it is its turn. Jobs end by themselves and never throw. */
export function enqueue(job) {
  waiting.push(job);
  next();
}

function next() {
  while (running < AT_ONCE && waiting.length) {
    running += 1;
    waiting.shift()().finally(() => {
      running -= 1;
      next();
    });
  }
}
