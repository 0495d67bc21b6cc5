"""The web application in which people grade a class, one answer at a time.

Everything a student wrote passes through `prose`, `mathml` or `pictures` before a page shows it; `security` guards every
request. It needs the extra ``review``.
"""
