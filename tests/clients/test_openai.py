"""OpenAI's own Python SDK, which refuses bodies that are not exactly as it expects."""

import json

import openai
import pytest
from openai import OpenAI
from pydantic import BaseModel, Field

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "The weather of a city.",
            "strict": True,
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}, "unit": {"type": "string", "enum": ["celsius", "kelvin"]}},
                "required": ["city", "unit"],
                "additionalProperties": False,
            },
        },
    },
    {"type": "function", "function": {"name": "clock", "parameters": {"type": "object", "properties": {}}}},
]


@pytest.fixture
def client(simulator):
    return client_with(simulator, "key")


def client_with(simulator, key, **options):
    return OpenAI(
        api_key=key,
        base_url=simulator.url + "/openai/v1",
        _strict_response_validation=True,
        **{"max_retries": 0, **options},
    )


def complete(client, prompt="Say hello.", **changes):
    fields = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": prompt}], **changes}
    return client.chat.completions.create(**fields)


def test_a_completion_passes_strict_validation(client, simulator):
    completion = complete(client)
    assert completion.choices[0].message.content == "You said: Say hello."
    assert completion.choices[0].finish_reason == "stop"
    assert completion.model == "gpt-4o-mini-2024-07-18"
    assert completion.usage.total_tokens == completion.usage.prompt_tokens + completion.usage.completion_tokens
    assert completion._request_id.startswith("req_")
    assert simulator.billed() == 1


def test_the_same_request_has_the_same_answer_and_usage(client):
    first, second = complete(client, "again"), complete(client, "again")
    assert first.choices == second.choices
    assert first.usage == second.usage
    assert first.id != second.id


def test_two_rounds_of_tools(client):
    messages = [
        {"role": "system", "content": "Use the tools."},
        {"role": "user", "content": "Ask clock and get_weather in kelvin, city: Oslo"},
    ]
    first = client.chat.completions.create(model="gpt-4o", messages=messages, tools=TOOLS).choices[0]
    assert first.finish_reason == "tool_calls"
    calls = first.message.tool_calls
    assert [call.function.name for call in calls] == ["clock", "get_weather"]
    assert json.loads(calls[1].function.arguments) == {"city": "Oslo", "unit": "kelvin"}
    # The message goes back as the SDK read it.
    messages.append(first.message)
    messages += [{"role": "tool", "tool_call_id": call.id, "content": f"{call.function.name} ok"} for call in calls]
    second = client.chat.completions.create(model="gpt-4o", messages=messages, tools=TOOLS).choices[0]
    assert second.finish_reason == "stop"
    assert "clock ok" in second.message.content and "get_weather ok" in second.message.content


def test_a_call_without_its_answer_is_400(client, simulator):
    call = {"id": "call_1", "type": "function", "function": {"name": "clock", "arguments": "{}"}}
    messages = [{"role": "user", "content": "x"}, {"role": "assistant", "content": None, "tool_calls": [call]}]
    with pytest.raises(openai.BadRequestError) as caught:
        complete(client, messages=messages, tools=TOOLS)
    assert "call_1" in caught.value.message
    assert simulator.billed() == 0


def test_broken_arguments_are_delivered_as_they_are(client):
    message = complete(client, "[sim:tool=clock] [sim:bad_arguments]", tools=TOOLS).choices[0].message
    with pytest.raises(json.JSONDecodeError):
        json.loads(message.tool_calls[0].function.arguments)


class Person(BaseModel):
    name: str = Field(min_length=3)
    age: int = Field(ge=18, le=99)
    nickname: str | None
    friends: list["Person"] = Field(max_length=2)


@pytest.mark.parametrize("prompt", ["name: Ada, 7 years", "nothing of use", 'a "quoted" word, 200'])
def test_structured_output_conforms(client, prompt):
    completion = client.chat.completions.parse(
        model="gpt-4o", messages=[{"role": "user", "content": prompt}], response_format=Person
    )
    # `parse` has validated the answer against the model.
    assert isinstance(completion.choices[0].message.parsed, Person)


def test_refusals_and_cut_answers_are_told_apart(client):
    messages = [{"role": "user", "content": "[sim:refusal]"}]
    refused = client.chat.completions.parse(model="gpt-4o", messages=messages, response_format=Person)
    assert refused.choices[0].message.refusal and refused.choices[0].message.parsed is None
    messages = [{"role": "user", "content": "[sim:length]"}]
    with pytest.raises(openai.LengthFinishReasonError):
        client.chat.completions.parse(model="gpt-4o", messages=messages, response_format=Person)
    messages = [{"role": "user", "content": "[sim:moderation=nsfw_flag]"}]
    with pytest.raises(openai.ContentFilterFinishReasonError):
        client.chat.completions.parse(model="gpt-4o", messages=messages, response_format=Person)


def test_streams_assemble_to_the_same_message(client):
    messages = [{"role": "user", "content": "get_weather city: Oslo"}]
    options = {"model": "gpt-4o", "messages": messages, "tools": TOOLS}
    with client.chat.completions.stream(stream_options={"include_usage": True}, **options) as stream:
        streamed = stream.get_final_completion()
    whole = client.chat.completions.create(**options)
    call, expected = streamed.choices[0].message.tool_calls[0], whole.choices[0].message.tool_calls[0]
    assert (call.function.name, call.function.arguments) == (expected.function.name, expected.function.arguments)
    assert streamed.choices[0].finish_reason == whole.choices[0].finish_reason
    assert streamed.usage == whole.usage


def test_models_are_listed(client):
    assert "gpt-4o" in [model.id for model in client.models.list()]
    assert client.models.retrieve("o4-mini").id == "o4-mini"


def test_reasoning_models_refuse_old_options(client):
    with pytest.raises(openai.BadRequestError) as caught:
        complete(client, model="o4-mini", max_tokens=10)
    assert (caught.value.code, caught.value.param) == ("unsupported_parameter", "max_tokens")
    completion = complete(client, model="o4-mini", max_completion_tokens=1000, reasoning_effort="low")
    assert completion.usage.completion_tokens_details.reasoning_tokens > 0


@pytest.mark.parametrize(
    "key, error, code",
    [
        ("bad-key", openai.AuthenticationError, "invalid_api_key"),
        ("no-money", openai.RateLimitError, "insufficient_quota"),
    ],
)
def test_refused_keys(simulator, key, error, code):
    with pytest.raises(error) as caught:
        complete(client_with(simulator, key))
    assert caught.value.code == code
    assert simulator.billed() == 0


def test_unknown_models_are_404(client):
    with pytest.raises(openai.NotFoundError) as caught:
        complete(client, model="gpt-none")
    assert caught.value.code == "model_not_found"


def test_limits_are_retried_after_the_stated_time(simulator):
    simulator.script({"type": "status", "code": 429, "retry_after_s": 1}, times=1, matches={"kind": "submit"})
    assert complete(client_with(simulator, "key", max_retries=2)).choices
    assert [entry["status"] for entry in simulator.journal()] == [429, 200]
    assert simulator.billed() == 1


def test_faults_of_the_server_are_errors(client, simulator):
    simulator.script({"type": "status", "code": 503}, times=1)
    with pytest.raises(openai.InternalServerError) as caught:
        complete(client)
    assert caught.value.code == "server_is_overloaded"
    simulator.script({"type": "status", "code": 502, "html": True}, times=1)
    with pytest.raises(openai.InternalServerError):
        complete(client)


def test_the_sdk_pays_twice_when_an_answer_is_lost(simulator):
    simulator.script({"type": "lost"}, times=1)
    complete(client_with(simulator, "key", max_retries=1))
    assert simulator.billed() == 2
