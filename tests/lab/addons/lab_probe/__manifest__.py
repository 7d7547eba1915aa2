{
    "name": "Lab probe",
    "summary": "Handlers of call records that behave as badly as a test asks",
    "version": "1.0",
    "license": "AGPL-3",
    "author": "asterisk-formula",
    "depends": ["asterisk_plus"],
    "data": ["data.xml"],
}
