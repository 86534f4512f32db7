# Says its progress a few times and a loss that follows from the learning rate; fails when that is far too large.
lr=$(sed 's/.*"lr": *\([0-9.e-]*\).*/\1/' "$AUTORESEARCH_TASK_FILE" | head -n 1)
for step in 1 2 3 4 5; do
  awk -v lr="$lr" -v step="$step" 'BEGIN { l = log(lr) / log(10); printf "[autoresearch] step=%d loss=%.4f\n", step, 2 + (l + 1.6) ^ 2 / 4 + 1 / step }'
  sleep "${STEP:-0.05}"
done
printf 'lr=%s\n' "$lr" > "$AUTORESEARCH_ARTIFACTS_DIR/rate.txt"
ln -s /etc/passwd "$AUTORESEARCH_ARTIFACTS_DIR/astray"
if awk -v lr="$lr" 'BEGIN { exit !(lr > 0.6) }'; then
  echo "Traceback (most recent call last):" >&2
  echo "FloatingPointError: the loss is not a number at lr=$lr" >&2
  exit 3
fi
