// A reply that is coming in: puts its deltas into a message and keeps its times.

/** What came faster than this came all at once, and has no speed. */
const SHORTEST_MS = 50;

/** Takes the chunks of one reply into `message`. */
export class Incoming {
  constructor(message) {
    this.message = message;
    this.started = performance.now();
    this.deltas = 0;
    this.usage = null;
  }

  /** Takes a chunk. */
  take(chunk) {
    if (chunk.usage) this.usage = chunk.usage;
    const choice = chunk.choices?.[0];
    if (!choice) return;
    const { reasoning_content: thought, content, tool_calls } = choice.delta ?? {};
    if (thought || content || tool_calls) {
      this.deltas += 1;
      this.first ??= performance.now();
    }
    if (thought) this.message.reasoning = (this.message.reasoning ?? "") + thought;
    else if ((content || tool_calls) && this.message.reasoning) this.thought ??= performance.now();
    if (content) this.message.content += content;
    for (const call of tool_calls ?? []) this.takeCall(call);
    if (choice.finish_reason) this.message.finish = choice.finish_reason;
  }

  takeCall({ index, id, function: part = {} }) {
    const calls = (this.message.tool_calls ??= []);
    const call = (calls[index] ??= { id: "", type: "function", function: { name: "", arguments: "" } });
    if (id) call.id = id;
    if (part.name) call.function.name += part.name;
    if (part.arguments) call.function.arguments += part.arguments;
  }

  /** Whether the model is in its thought. */
  get isThinking() {
    return Boolean(this.message.reasoning) && !this.thought && !this.ended;
  }

  /** What is known about speed now: milliseconds and tokens (deltas, until the server has counted). */
  stats() {
    const now = this.ended ?? performance.now();
    const tokens = this.usage?.completion_tokens ?? this.deltas;
    const reasoning_tokens = this.usage?.completion_tokens_details?.reasoning_tokens;
    const first_ms = this.first && this.first - this.started;
    const streamed_ms = this.first && now - this.first;
    return {
      tokens, reasoning_tokens, first_ms,
      prompt_tokens: this.usage?.prompt_tokens,
      cached_tokens: this.usage?.prompt_tokens_details?.cached_tokens,
      total_tokens: this.usage?.total_tokens,
      rate: tokens > 1 && streamed_ms > SHORTEST_MS ? ((tokens - 1) * 1000) / streamed_ms : undefined,
      thought_ms: this.message.reasoning ? (this.thought ?? now) - this.first : undefined,
    };
  }

  /** No more chunks come. */
  end() {
    this.ended = performance.now();
    if (this.message.tool_calls) this.message.tool_calls = this.message.tool_calls.filter(Boolean);
    this.message.stats = this.stats();
  }
}
